"""Linkerd on Cilium's network, with the settings that both need."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_meshcheck.meshes.cilium import flavours
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh, configuration
from pytest_meshcheck.meshes.cilium.settings import CONFIG, FOR_LINKERD, conflicts
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.platforms.kubernetes.access.permissions import Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api


class LinkerdOnCilium(LinkerdMesh):
    """Linkerd, which all claims are about; Cilium comes before it and goes after it.

    A version is Linkerd's; Cilium's is its newest, or another by ``--mesh-values`` and ``--mesh-charts``.
    """

    name = "linkerd+cilium"
    kind_config = "cilium.yaml"

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.network = CiliumMesh(replace(order, version=None), flavours.BELOW_LINKERD)

    @property
    def charts(self) -> Collection[str]:
        """Those of both."""
        return {*super().charts, *self.network.charts}

    @property
    def permissions(self) -> Sequence[Permission]:
        """What Linkerd takes, and what looking at the network takes."""
        return (*super().permissions, *self.network.permissions)

    def bind(self, platform: Platform) -> None:
        """Both are on the same platform."""
        super().bind(platform)
        self.network.bind(platform)

    async def install(self, platform: Platform) -> None:
        """The network, a look at what it is set to, then Linkerd.

        Raises:
            MeshUnavailable: One of them was there already, or Cilium is set to what Linkerd cannot work with.
            Inconclusive: One of them does not become ready.
        """
        self.bind(platform)
        await self.network.install(platform)
        await self.agrees(await self.platform.api())
        await super().install(platform)

    async def uninstall(self) -> None:
        """Linkerd first."""
        await super().uninstall()
        await self.network.uninstall()

    async def detect(self, api: Api) -> None:
        """The versions of both, and whether they agree."""
        await super().detect(api)
        await self.network.detect(api)

    async def diagnose(self, directory: Path) -> None:
        """Write the logs of both control planes, and what Cilium is set to."""
        await super().diagnose(directory)
        await self.network.diagnose(directory)

    async def agrees(self, api: Api) -> None:
        """Whether Cilium lets Linkerd see what it has to see.

        Raises:
            MeshUnavailable: Names each setting, its value, the wanted value and what happens otherwise.
        """
        home, config = await configuration(api)
        if found := conflicts(config, FOR_LINKERD):
            raise MeshUnavailable(f"Linkerd cannot work on this Cilium ({CONFIG} in {home}): {'; '.join(found)}")


def adapter(order: Order) -> LinkerdOnCilium:
    """``--mesh=linkerd+cilium``.

    Raises:
        MeshUnavailable: One of them cannot be had in that version, or not on this machine.
    """
    return LinkerdOnCilium(order)
