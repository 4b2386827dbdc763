"""Calls to a workload that begin before it has started: the first connection that it accepts may be one of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.observation import LoadOutcome
from pytest_meshcheck.model.workload import LATE, Workload, new_id
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.probe.protocol.messages import LoadPlan


class NotStarted(Inconclusive):
    """A workload has not started.

    Attributes:
        calls: What became of the calls to it; None if it had no address.
    """

    def __init__(self, message: str, calls: LoadOutcome | None) -> None:
        super().__init__(message)
        self.calls = calls


@dataclass(frozen=True)
class EarlyCalls:
    """Open-loop loads on workloads that are starting.

    Attributes:
        platform: The platform that they start on.
        caller: Who calls; outside the mesh, as it dials the workload and not a service.
        port: The name of the port that is called.
        rate: Requests per second.
        request: More fields of each request.
    """

    platform: Platform
    caller: Workload
    port: str
    rate: float
    request: Mapping[str, Any] = field(default_factory=dict)

    async def begin(self, spec: WorkloadSpec) -> Load:
        """Begin to call a workload as soon as it has an address; add it to ``Load.servers`` once it has started."""
        address = await self.platform.address_of(spec, self.port)
        template = self.caller.request_to(spec, address, self.port, **self.request)
        late = LATE * self.caller.patience
        load = Load(LoadPlan(request_id=new_id(), template=template, rate=self.rate, late=late), [])
        await load.begin(self.caller)
        return load

    async def end(self, calling: "asyncio.Future[Load]", spec: WorkloadSpec) -> LoadOutcome | None:
        """End what has begun, or is about to, and join it with the ledgers of its servers; once is enough."""
        calling.cancel()
        await asyncio.wait({calling})
        if calling.cancelled():
            return None
        if (load := calling.result()).outcome is None:
            outcome = await load.finish()
            self.caller.journal.add("load", f"{self.caller} -> {spec}, {self.port}, from its start on", outcome)
        return load.outcome
