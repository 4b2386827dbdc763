"""The embedded mesh: real Envoy sidecars as local processes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint, rotate_authority
from pytest_meshcheck.meshes.envoy.authority_input import complaint
from pytest_meshcheck.meshes.envoy.control_plane import identity
from pytest_meshcheck.meshes.envoy.documented import CLAIMS, DOCUMENTED
from pytest_meshcheck.meshes.envoy.policies import marks, render
from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.meshes.envoy.process.bootstrap import CONTROL_PLANE_SOCKET
from pytest_meshcheck.meshes.envoy.process.discovery import DiscoveryServer
from pytest_meshcheck.meshes.envoy.sidecar_mesh import TRUST_DOMAIN, SidecarMesh
from pytest_meshcheck.meshes.envoy.xds.listeners import HTTP_ALPN
from pytest_meshcheck.meshes.xfcc import HEADER, caller
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform
from pytest_meshcheck.platforms.local.control_plane import SIDECAR_LABEL
from pytest_meshcheck.platforms.local.platform import Processes

REISSUING = (Rotation.LEAF, Rotation.ISSUER, Rotation.ISSUER_CERTIFICATE, Rotation.ROOT_SWITCH)
"""The steps after which every workload gets a new certificate."""


class EnvoyMesh(SidecarMesh):
    """Real Envoy sidecars as local processes; needs no cluster and no privileges.

    Attributes:
        name: ``envoy``.
        version: The version of Envoy; empty if none was named and none is installed.
        claims: The capabilities of this version.
        documented: The behaviour that checks compare with.
        authority: Issues every certificate of the mesh.
    """

    name = "envoy"
    claims = CLAIMS
    documented = DOCUMENTED
    returns_to_former_version = True

    def prepare(self) -> None:
        """Make Envoy available; a version other than the installed one is downloaded into the user's cache.

        Raises:
            MeshUnavailable: This is not possible; with the reason and the next step.
        """
        self._binary = binary.obtain(self.version)

    async def install(self, platform: Platform) -> None:
        """Become the control plane of a platform of local processes; sidecars start with their workloads.

        Raises:
            MeshUnavailable: Envoy is not available.
            TypeError: The platform is not one of local processes.
        """
        if not isinstance(platform, Processes):
            raise TypeError(f"the embedded mesh runs on local processes, not on {platform}")
        self.prepare()
        self._platform = platform
        self._server = DiscoveryServer(platform.socket(CONTROL_PLANE_SOCKET), self._subscriber)
        await self._server.start()
        platform.control_plane = self

    async def upgrade(self, version: str) -> None:
        """Make another version of Envoy available, and restart the control plane; sidecars connect to it again.

        Raises:
            MeshUnavailable: The version is not available.
            Inconclusive: A sidecar does not connect again.
        """
        before, self.version = self.version, version
        try:
            self.prepare()
        except MeshUnavailable:
            self.version = before
            raise
        await self._discovery.stop()
        await self._discovery.start()
        await self.settled()

    @asynccontextmanager
    async def data_plane_upgrade(self, workloads: Sequence[Workload]) -> AsyncIterator[None]:
        """Replace sidecars by the present version of Envoy; without ``hot_restart`` this breaks open connections.

        Raises:
            Inconclusive: An Envoy does not start, or a replaced one does not end.
        """
        sidecars, launcher = [self._planes[str(one)].sidecar for one in workloads], self._launcher
        if not self._hot_restart:
            await asyncio.gather(*map(launcher.restart, sidecars))
            await self.settled()
            yield
            return
        replaced = await asyncio.gather(*map(launcher.take_over, sidecars))
        await self.settled()
        yield
        await asyncio.gather(*map(launcher.end, replaced))

    async def uninstall(self) -> None:
        """Stop every sidecar and detach from the platform."""
        await asyncio.gather(*(self._remove(plane) for plane in self._planes.values()))
        if self._server is not None:
            await self._server.stop()
        if self._platform is not None:
            self._platform.control_plane = None
        self._platform = None

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """The label that makes the platform request a sidecar."""
        return Metadata({SIDECAR_LABEL: "true"} if workload.enrolment is Enrolment.ENROLLED else {})

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Each policy as a resource of this mesh, which can express all of them, and marks to see them by."""
        return [*map(render, policies), *marks(policies)]

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The workload's SPIFFE ID."""
        return identity(TRUST_DOMAIN, workload)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The SPIFFE ID in the header x-forwarded-client-cert."""
        return caller(attempt.header(HEADER) or "")

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The inbound listener of the workload's sidecar."""
        member = self._of_platform().members[str(workload)]
        alpn = HTTP_ALPN if member.spec.port(port).protocol.facts.is_http else ()
        return TlsEndpoint(member.data_plane(port), member.spec.authority, alpn)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation."""
        rotate_authority(self.authority, what, lifetime)
        if what in REISSUING:
            for plane in self._planes.values():
                plane.certificate.renew()
        self.publish()

    async def give_authority(self, files: AuthorityFiles) -> str:
        """Refuse files with a flaw, and go on with what the authority has."""
        return complaint(files)

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """The authority issues nothing while the block runs; due renewals follow at its end."""
        return self._outage()

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        """Sidecars get neither configuration nor certificates while the block runs; both follow at its end."""
        server = self._discovery
        async with self.authority_outage():
            await server.stop()
            try:
                yield
            finally:
                await server.start()
        self.publish()
        await self.settled()

    async def kill_data_plane(self, workload: Workload) -> None:
        """Kill the sidecar of a workload, and start another one; open connections are lost."""
        await self._launcher.restart(self._planes[str(workload)].sidecar)

    async def restart_data_plane(self, workload: Workload) -> None:
        """The same, and wait until the new one is configured."""
        await self.kill_data_plane(workload)
        await self.settled()

    @asynccontextmanager
    async def data_plane_replacement(self, workload: Workload) -> AsyncIterator[None]:
        """Have another sidecar process take over by hot restart; the old one drains until the block ends.

        Raises:
            Inconclusive: The workload was not started as a replaceable one.
        """
        old = await self._launcher.take_over(self._planes[str(workload)].sidecar)
        try:
            yield
        finally:
            await self._of_platform().discard(old)

    async def diagnose(self, directory: Path) -> None:
        """Write configuration, certificates, statistics and logs of every sidecar, without keys."""
        await asyncio.gather(*(plane.sidecar.diagnose(directory) for plane in self._planes.values()))

    @asynccontextmanager
    async def _outage(self) -> AsyncIterator[None]:
        self._in_service.clear()
        try:
            await self.settled()  # a certificate that was issued just before is in use when the outage begins
            yield
        finally:
            self._in_service.set()
