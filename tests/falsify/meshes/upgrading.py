"""The embedded mesh as one that can be upgraded without another Envoy at hand, soundly and with faults."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.model.workload import Workload
from tests.falsify import parts
from tests.falsify.defect import Resources


class Upgradable(EnvoyMesh):
    """Calls the Envoy that is installed by whatever version it is asked for."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(None, **({"hot_restart": True} | named))
        self.version = version or self.version

    def prepare(self) -> None:
        self._binary = binary.obtain("")


Fault = Callable[[Resources, int], None]
"""Changes the resources of a data plane that was replaced this many times: an odd number of times by the new version,
and twice by the former one."""


def by_version(fault: Fault) -> type[Upgradable]:
    """A mesh whose data planes have a fault that depends on their version."""

    class OfTwoVersions(Upgradable):
        def __init__(self, version: str | None = None, **named: Any) -> None:
            super().__init__(version, publish_hook=self._published, **named)
            self._replaced = Counter[str]()

        @asynccontextmanager
        async def data_plane_upgrade(self, workloads: Sequence[Workload]) -> AsyncIterator[None]:
            async with super().data_plane_upgrade(workloads):
                self._replaced.update(map(str, workloads))
                self.publish(force=True)
                await self.settled()
                yield

        def _published(self, workload: str, resources: Resources) -> Resources:
            fault(resources, self._replaced[workload])
            return resources

    return OfTwoVersions


class RestartsCold(Upgradable):
    """Stops each sidecar before it starts the next one."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, hot_restart=False, **named)


class RestartsWithControlPlane(Upgradable):
    """Restarts all sidecars when the control plane is upgraded.

    It does not return to a former version: a killed sidecar cannot end the one that it had replaced.
    """

    returns_to_former_version = False

    async def upgrade(self, version: str) -> None:
        await super().upgrade(version)
        await asyncio.gather(*(self._launcher.restart(plane.sidecar) for plane in self._planes.values()))
        await self.settled()


class OpenWhileUpgraded(Upgradable):
    """Takes plaintext everywhere until the upgrade is over."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, publish_hook=self._published, **named)
        self._open = False

    async def upgrade(self, version: str) -> None:
        self._open = True
        self.publish(force=True)
        await self.settled()
        await super().upgrade(version)

    @asynccontextmanager
    async def data_plane_upgrade(self, workloads: Sequence[Workload]) -> AsyncIterator[None]:
        async with super().data_plane_upgrade(workloads):
            yield
        self._open = False
        self.publish(force=True)

    def _published(self, _workload: str, resources: Resources) -> Resources:
        if self._open:
            parts.take_plaintext(resources)
        return resources
