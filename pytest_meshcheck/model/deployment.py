"""Several workloads behind one service."""

import asyncio
from dataclasses import dataclass

from pytest_meshcheck.model.workload import Workload, new_id
from pytest_meshcheck.probe.protocol import messages as m


@dataclass(frozen=True)
class Deployment:
    """A service that a check deploys for itself.

    Attributes:
        endpoints: The workloads behind it, each with a ledger of its own. A policy for one of them covers all.
    """

    endpoints: tuple[Workload, ...]

    @property
    def service(self) -> Workload:
        """The target of calls: the first endpoint, in place of which any other may answer."""
        return self.endpoints[0]

    async def attempts(self, exchange: m.Exchange | str) -> dict[str, tuple[m.Attempt, ...]]:
        """The attempts of an exchange or a request id at each endpoint, by instance."""
        seen = await asyncio.gather(*(endpoint.attempts(exchange) for endpoint in self.endpoints))
        return {one.instance: attempts for one, attempts in zip(self.endpoints, seen, strict=True)}

    async def answers(self, *answers: m.Answer | int, repeat: bool = False) -> str:
        """Script every endpoint, as ``Workload.answers``; returns the id of the request."""
        request_id = new_id()
        scripts = (endpoint.answers(*answers, repeat=repeat, request_id=request_id) for endpoint in self.endpoints)
        await asyncio.gather(*scripts)
        return request_id
