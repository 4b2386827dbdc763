"""Linkerd on the network of Cilium, with the settings that both need."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from pytest_meshcheck.meshes.cilium import variants
from pytest_meshcheck.meshes.cilium.installed import configuration
from pytest_meshcheck.meshes.cilium.mesh import CHART, CiliumMesh
from pytest_meshcheck.meshes.cilium.settings import CONFIG, FOR_LINKERD, conflicts, contradicted
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.platforms.helm.values import overrides
from pytest_meshcheck.platforms.kubernetes.access.permissions import Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api


class LinkerdOnCilium(LinkerdMesh):
    """Linkerd, to which all claims refer; Cilium is installed before it and removed after it.

    The version is that of Linkerd. Cilium's is its newest, unless ``--mesh-values`` and ``--mesh-charts`` differ.
    """

    name = "linkerd+cilium"
    kind_config = "cilium.yaml"

    def __init__(self, request: MeshRequest) -> None:
        super().__init__(request)
        self.network = CiliumMesh(replace(request, version=None, upgrade_to=None), variants.BELOW_LINKERD)

    @property
    def charts(self) -> Collection[str]:
        """The charts of both."""
        return {*super().charts, *self.network.charts}

    @property
    def permissions(self) -> Sequence[Permission]:
        """The permissions for Linkerd, and for reading the configuration of the network."""
        return (*super().permissions, *self.network.permissions)

    def bind(self, platform: Platform) -> None:
        """Bind both to the same platform."""
        super().bind(platform)
        self.network.bind(platform)

    def clone(self) -> Self:
        """A copy of both adapters."""
        clone = super().clone()
        clone.network = self.network.clone()
        return clone

    async def look(self, api: Api) -> None:
        """Also check that nothing prevents the installation of the network; otherwise MeshUnavailable."""
        await super().look(api)
        if self.installed_by_run:
            await self.network.refuse_taken(api)

    async def install(self, platform: Platform) -> None:
        """Install the network, check its configuration, then install Linkerd.

        Raises:
            MeshUnavailable: One of them is already installed, or Linkerd cannot work with the settings of Cilium.
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
        """Detect the versions of both, and check their compatibility."""
        await super().detect(api)
        await self.network.detect(api)

    async def diagnose(self, directory: Path) -> None:
        """Write the logs of both control planes, and the configuration of Cilium."""
        await super().diagnose(directory)
        await self.network.diagnose(directory)

    async def agrees(self, api: Api) -> None:
        """Check that the settings of Cilium let Linkerd's proxy see all connections.

        Raises:
            MeshUnavailable: Names each wrong setting, its value, the required value and the consequence.
        """
        home, config = await configuration(api)
        if found := conflicts(config, FOR_LINKERD):
            raise MeshUnavailable(f"Linkerd cannot work on this Cilium ({CONFIG} in {home}): {'; '.join(found)}")


def adapter(request: MeshRequest) -> LinkerdOnCilium:
    """``--mesh=linkerd+cilium``.

    Raises:
        MeshUnavailable: The version of one does not exist, its charts cannot be fetched, or the values for Cilium's
            chart contradict a setting that Linkerd needs.
    """
    if found := list(contradicted(overrides(request.values, CHART), FOR_LINKERD)):
        raise MeshUnavailable(f"Linkerd cannot work on Cilium with these values: {'; '.join(found)}")
    return LinkerdOnCilium(request)
