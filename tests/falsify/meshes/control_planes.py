"""The embedded mesh whose data planes suffer from an outage of the control plane, or from changes of policies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.control_plane import Snapshot
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.policies import PolicySet
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify import parts
from tests.falsify.defect import Resources

FLAP = 0.1
"""Seconds."""

SEEN = 0.3
"""Seconds in which several requests of a load come, one after the other."""


class Changing(EnvoyMesh):
    """Publishes other resources for some time.

    Attributes:
        is_off: Whether it is that time.
    """

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, publish_hook=self._published, **named)
        self.is_off = False

    async def turn(self, *, off: bool) -> None:
        """Begin or end that time."""
        self.is_off = off
        self.publish(force=True)
        await self.settled()

    def alter(self, resources: Resources) -> None:
        """Change what is published meanwhile."""

    def _published(self, _workload: str, resources: Resources) -> Resources:
        if self.is_off:
            self.alter(resources)
        return resources


class OpenWithoutControlPlane(Changing):
    """Takes plaintext while the control plane is away."""

    def alter(self, resources: Resources) -> None:
        parts.take_plaintext(resources)

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        await self.turn(off=True)
        async with super().control_plane_outage():
            yield
            self.is_off = False
        self.publish(force=True)
        await self.settled()


class RestartedWithControlPlane(EnvoyMesh):
    """Restarts data planes as soon as they have a control plane again."""

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        async with super().control_plane_outage():
            yield
        await asyncio.gather(*(self._launcher.restart(plane.sidecar) for plane in self._planes.values()))
        await self.settled()


class Deaf(EnvoyMesh):
    """Sends data planes nothing new any more from some time on."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self.is_deaf = False

    def publish(self, *, force: bool = False) -> None:
        if not self.is_deaf:
            super().publish(force=force)


class DeafAfterOutage(Deaf):
    """After an outage of the control plane."""

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        async with super().control_plane_outage():
            yield
        self.is_deaf = True


class DeafAfterRootChange(Deaf):
    """After the end of a root, of which data planes learn."""

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        await super().rotate(what, lifetime)
        await self.settled()
        self.is_deaf = self.is_deaf or what is Rotation.ROOT_DROP


class NewcomersWithoutSidecar(EnvoyMesh):
    """Starts workloads without a data plane while the control plane is away."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self._is_away = False

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        return Metadata() if self._is_away else super().enrolment(workload)

    async def admit(self, member: Member) -> None:
        if not self._is_away:
            await super().admit(member)

    async def settled(self) -> None:
        if not self._is_away:
            await super().settled()

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        async with super().control_plane_outage():
            self._is_away = True
            try:
                yield
            finally:
                self._is_away = False


class NewcomersUnreached(NewcomersWithoutSidecar):
    """The same, and it does not know when data planes follow, so that members are seen not to reach these workloads."""

    documented = replace(EnvoyMesh.documented, policies_act_within=0.5)


class ReadyTooEarly(NewcomersWithoutSidecar):
    """Reports that its control plane is ready while workloads still start without a data plane."""

    @asynccontextmanager
    async def control_plane_return(self) -> AsyncIterator[None]:
        async with super().control_plane_return():
            self._is_away = True
            try:
                yield
            finally:
                self._is_away = False


class RootOfItsOwn(EnvoyMesh):
    """Issues under another root once the authority has been started anew, and announces both."""

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        async with super().authority_outage():
            yield
        self.authority.add_root()
        self.authority.switch_root()
        self.publish()
        await self.settled()


class OutOfService(Changing):
    """Has data planes answer every request themselves for some time."""

    def alter(self, resources: Resources) -> None:
        for host in parts.inbound_hosts(resources):
            parts.answer_itself(*host["routes"])


class Flapping(OutOfService):
    """Publishes that for a moment whenever a policy changes."""

    async def changed(self) -> None:
        await self.turn(off=True)
        await asyncio.sleep(FLAP)
        self.is_off = False
        self.publish(force=True)
        await super().changed()


class ClustersWithdrawn(Flapping):
    """Has routes lead to clusters that are gone for a moment whenever a policy changes."""

    def alter(self, resources: Resources) -> None:
        resources["clusters"] = [one for one in resources["clusters"] if not one["name"].startswith("outbound.")]


class GoesBack(EnvoyMesh):
    """Applies the policies of before a change once more, for a moment, after those of after it."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self._newest = PolicySet(())
        self._again: PolicySet | None = None

    async def changed(self) -> None:
        before, self._newest = self._newest, PolicySet(self._of_platform().resources.values())
        for self._again in (None, before, None):
            await super().changed()
            await self.settled()
            await asyncio.sleep(SEEN)

    def _snapshot(self) -> Snapshot:
        newest = super()._snapshot()
        return newest if self._again is None else replace(newest, policies=self._again)


class Forgetful(GoesBack):
    """Drops all policies for a moment whenever one changes."""

    async def changed(self) -> None:
        for self._again in (PolicySet(()), None):
            await EnvoyMesh.changed(self)
            await self.settled()
            await asyncio.sleep(SEEN)
