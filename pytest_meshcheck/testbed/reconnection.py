"""Waiting after an outage of the control plane until data planes follow it again, as requests show."""

from dataclasses import dataclass

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.policy import Mode, MutualTls
from pytest_meshcheck.testbed.convergence.conditions import admission, unmet
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
        """Wait until all data planes follow, or the documented time is over; the checks show which do not.

        Until then policies would act later than documented for a mesh whose control plane was there all the time.
        """
        documented = self.adapter.documented
        if not documented.needs_polling or not self.adapter.claim(Capability.STRICT_MTLS).supported:
            return
        outsider = await self.stage.workload("outsider")
        strict = [MutualTls(server, Mode.STRICT) for server in self.stage.enrolled]
        conditions = admission(strict, outsider, self.stage.running)
        before = await self.policies.apply(strict)
        try:
            await unmet(conditions, documented.outage.reconnects_within, self.scale)
        finally:
            await self.policies.delete(strict, before)
        await self.policies.flush()
