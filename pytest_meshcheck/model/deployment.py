"""Several workloads behind one service."""

import asyncio
from dataclasses import dataclass

from pytest_meshcheck.model.workload import Workload, new_id
from pytest_meshcheck.probe.protocol import messages as m


@dataclass(frozen=True)
class Deployment:
    """A service of a check's own.

    Attributes:
        endpoints: The workloads behind it, each with a ledger of its own; policies about any of them are about all.
    """

    endpoints: tuple[Workload, ...]

    @property
    def service(self) -> Workload:
        """What clients call: the first endpoint, in whose place any other may answer."""
        return self.endpoints[0]

    async def saw(self, exchange: m.Exchange | str) -> dict[str, tuple[m.Attempt, ...]]:
        """The attempts of an exchange, or of a request id, that reached each endpoint, by its instance."""
        seen = await asyncio.gather(*(endpoint.saw(exchange) for endpoint in self.endpoints))
        return {one.instance: attempts for one, attempts in zip(self.endpoints, seen, strict=True)}

    async def answers(self, *answers: m.Answer | int, repeat: bool = False) -> str:
        """Have every endpoint answer one request like this, as ``Workload.answers``; returns the request's id."""
        request_id = new_id()
        scripts = (endpoint.answers(*answers, repeat=repeat, request_id=request_id) for endpoint in self.endpoints)
        await asyncio.gather(*scripts)
        return request_id
