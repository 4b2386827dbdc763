"""Meshes whose control plane runs in deployments of their own, and issues certificates with the suite's authority."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.kubernetes.authority_input import new_complaint
from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN, HelmMesh
from pytest_meshcheck.meshes.kubernetes.outages import scale_back, scaled_to_zero
from pytest_meshcheck.meshes.kubernetes.readiness import rolled_out
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Manifest, Platform
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

SAID_WITHIN = 30.0
"""Seconds until the control plane has read files, and has said what is wrong with them."""


class ControlledMesh(HelmMesh):
    """A mesh whose control plane a check can stop or give broken files, and whose data planes it can kill.

    Attributes:
        sidecar: The name of the container that is a workload's data plane; empty if data planes are no sidecars.
    """

    sidecar: ClassVar[str] = ""

    @property
    @abstractmethod
    def authority_deployments(self) -> Sequence[str]:
        """The deployments that issue certificates."""

    @property
    @abstractmethod
    def control_plane_deployments(self) -> Sequence[str]:
        """The deployments that configure data planes, and enrol workloads."""

    may_stay_changed = True

    @abstractmethod
    def secrets_of(self, files: AuthorityFiles) -> Sequence[Manifest]:
        """The objects needed before the charts: an authority in the format of the mesh; applied at each rotation."""

    def authority_files(self) -> AuthorityFiles:
        """The files of the authority as it is now."""
        return AuthorityFiles.of(self.authority)

    def secrets(self) -> Sequence[Manifest]:
        """The objects with the authority as it is now."""
        return self.secrets_of(self.authority_files())

    @abstractmethod
    async def complaints(self, api: Api) -> Collection[str]:
        """The complaints of the control plane, so far, about unusable files of an authority."""

    async def install(self, platform: Platform) -> None:
        """Install the mesh as usual, after scaling back the deployments that a killed run left at zero.

        Raises:
            MeshUnavailable: Another installation is in the way.
            Inconclusive: The mesh does not become ready.
        """
        self.bind(platform)
        if self.installed_by_run:
            await scale_back(await self.platform.api(), self.namespace)
        await super().install(platform)

    async def uninstall(self) -> None:
        """Remove the mesh as usual; one that was installed before is scaled back after a killed run."""
        if not self.installed_by_run:
            await scale_back(await self.platform.api(), self.namespace)
        await super().uninstall()

    async def give_authority(self, files: AuthorityFiles) -> str:
        """Apply the files in place of the authority's; returns the control plane's complaint about them, if any."""
        api = await self.platform.api()
        before = await self.complaints(api)
        for secret in self.secrets_of(files):
            await api.apply(secret)
        await self.rotated(api, Rotation.ISSUER)
        own = self.authority_files()
        if (files.certificate, files.key) == (own.certificate, own.key):
            return ""
        return await new_complaint(lambda: self.complaints(api), before, SAID_WITHIN * self.scale)

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """Scale the authority to zero while the block runs, and wait until the mesh is ready again."""
        return self._outage(self.authority_deployments)

    def control_plane_outage(self) -> AbstractAsyncContextManager[None]:
        """Scale the control plane to zero while the block runs, and wait until the mesh is ready again."""
        return self._outage(self.control_plane_deployments)

    @asynccontextmanager
    async def control_plane_return(self) -> AsyncIterator[None]:
        """Scale the control plane to zero and back; the block begins once its deployments are available.

        Unlike at the end of an outage, it is not yet known whether the webhook works.
        """
        api, names = await self.platform.api(), self.control_plane_deployments
        try:
            async with scaled_to_zero(api, self.namespace, names, self.scale):
                pass
            await rolled_out(api, self.namespace, names, INSTALLED_WITHIN * self.scale)
            yield
        finally:
            await self.ready(api)

    async def kill_data_plane(self, workload: Workload) -> None:
        """Kill the sidecar of a workload on its node, and wait until the kubelet has started another one."""
        if not self.sidecar:
            await super().kill_data_plane(workload)
        await self.platform.restart_container(workload, self.sidecar, ready=False)

    async def restart_data_plane(self, workload: Workload) -> None:
        """Kill the sidecar of a workload on its node, and wait until the kubelet has restarted it."""
        if not self.sidecar:
            await super().restart_data_plane(workload)
        await self.platform.restart_container(workload, self.sidecar)
        await self.settled()

    @asynccontextmanager
    async def _outage(self, names: Sequence[str]) -> AsyncIterator[None]:
        api = await self.platform.api()
        try:
            async with scaled_to_zero(api, self.namespace, names, self.scale):
                yield
        finally:
            await self.ready(api)
