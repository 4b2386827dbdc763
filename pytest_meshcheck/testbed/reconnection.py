"""Waiting after an outage of the control plane until data planes follow it again, as requests show."""

from contextlib import suppress
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.policy import Mode, MutualTls
from pytest_meshcheck.testbed.convergence.conditions import admission, connectivity, unmet
from pytest_meshcheck.testbed.convergence.lifecycle import PolicyLifecycle
from pytest_meshcheck.testbed.lock import MeshLock
from pytest_meshcheck.testbed.workloads import Stage


@dataclass
class Reconnection:
    """The data planes of one session.

    Attributes:
        adapter: The mesh.
        stage: The workloads, whose data planes have to follow.
        policies: Applies the policy that shows whether they do.
        lock: Counts outages, for other processes cause them as well.
        scale: The factor for time limits.
    """

    adapter: Mesh
    stage: Stage
    policies: PolicyLifecycle
    lock: MeshLock
    scale: float
    _met: int = field(default=0, init=False)
    """The outages that the data planes of this process have met."""
    _is_behind: bool = field(default=False, init=False)

    def begin_outage(self) -> None:
        """Count an outage that this process begins: others know of it then even if this process dies in it."""
        self.lock.count_outage()

    async def after_own_outage(self) -> None:
        """Count an outage that this process has caused, and wait; what does not follow is left to the check."""
        self.lock.count_outage()
        self._met, self._is_behind = self.lock.outages, True
        self._is_behind = not await self._wait()

    def note_outage(self) -> None:
        """Count an outage that this process has caused; the next check waits for the data planes."""
        self.lock.count_outage()
        self._is_behind = True

    async def catch_up(self) -> None:
        """Wait after outages that other processes caused; after any, restart what does not follow.

        That is the control plane, whose own data planes may be refused as well, and all data planes of the session,
        which start anew when they are next requested.
        """
        if self.lock.outages == self._met and not self._is_behind:
            return
        self._met, self._is_behind = self.lock.outages, True
        self.policies.cache.forget()
        try:
            follow = not self.stage.running or await self._wait()
        except Inconclusive:  # such as a policy of an earlier check that data planes keep
            follow = False
        self._is_behind = False
        if not follow:
            await self._restart_control_plane()
            for workload in self.stage.enrolled:
                workload.unreached = f"{workload} did not follow the control plane after an outage"
            await self.stage.remove_dead()

    async def _restart_control_plane(self) -> None:
        """Restart it where that is possible, which is an outage for the data planes of other processes."""
        with suppress(Unsupported):
            async with self.lock.exclusive(), self.adapter.control_plane_return():
                self.lock.count_outage()
                self._met = self.lock.outages

    async def _wait(self) -> bool:
        """Wait until all data planes serve, and follow, or the documented time is over; returns whether they do.

        Until then policies would act later than documented for a mesh whose control plane was there all the time, and
        certificates that have expired meanwhile are refused.
        """
        documented = self.adapter.documented
        if not documented.needs_polling:
            return True
        if await unmet(connectivity(self.stage.running), documented.outage.heals_within, self.scale):
            return False
        return not self.adapter.claim(Capability.STRICT_MTLS).supported or await self._follow()

    async def _follow(self) -> bool:
        outsider = await self.stage.workload("outsider")
        strict = [MutualTls(server, Mode.STRICT) for server in self.stage.enrolled]
        conditions = admission(strict, outsider, self.stage.running)
        before = await self.policies.apply(strict)
        try:
            left = await unmet(conditions, self.adapter.documented.outage.reconnects_within, self.scale)
        finally:
            await self.policies.delete(strict, before)
        await self.policies.flush()
        return not left
