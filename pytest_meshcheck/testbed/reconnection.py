"""Waiting after an outage of the control plane until data planes follow it again, as requests show."""

from dataclasses import dataclass

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.policy import Mode, MutualTls
from pytest_meshcheck.testbed.convergence.conditions import admission, connectivity, unmet
from pytest_meshcheck.testbed.convergence.lifecycle import PolicyLifecycle
from pytest_meshcheck.testbed.workloads import Stage


@dataclass(frozen=True)
class Reconnection:
    """The data planes of one session.

    Attributes:
        adapter: The mesh.
        stage: The workloads, whose data planes have to follow.
        policies: Applies the policy that shows whether they do.
        scale: The factor for time limits.
    """

    adapter: Mesh
    stage: Stage
    policies: PolicyLifecycle
    scale: float

    async def wait(self) -> None:
        """Wait until all data planes follow, and serve, or the documented time is over; the checks show which do not.

        Until then policies would act later than documented for a mesh whose control plane was there all the time, and
        certificates that have expired meanwhile are refused.
        """
        documented = self.adapter.documented
        if not documented.needs_polling:
            return
        await unmet(connectivity(self.stage.running), documented.outage.heals_within, self.scale)
        if self.adapter.claim(Capability.STRICT_MTLS).supported:
            await self._follow()

    async def _follow(self) -> None:
        outsider = await self.stage.workload("outsider")
        strict = [MutualTls(server, Mode.STRICT) for server in self.stage.enrolled]
        conditions = admission(strict, outsider, self.stage.running)
        before = await self.policies.apply(strict)
        try:
            await unmet(conditions, self.adapter.documented.outage.reconnects_within, self.scale)
        finally:
            await self.policies.delete(strict, before)
        await self.policies.flush()
