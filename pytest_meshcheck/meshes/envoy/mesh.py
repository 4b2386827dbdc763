"""The embedded mesh: a control plane in this process, and one Envoy per enrolled workload."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_meshcheck.meshes.base import Mesh, Rotation, TlsEndpoint, rotate_authority
from pytest_meshcheck.meshes.envoy.authority_input import complaint
from pytest_meshcheck.meshes.envoy.certificates import Certificate, Term
from pytest_meshcheck.meshes.envoy.control_plane import Snapshot, identity
from pytest_meshcheck.meshes.envoy.documented import CLAIMS, DOCUMENTED
from pytest_meshcheck.meshes.envoy.policies import PolicySet, render
from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.meshes.envoy.process.bootstrap import ADMIN_SOCKET, CONTROL_PLANE_SOCKET
from pytest_meshcheck.meshes.envoy.process.discovery import DiscoveryServer, Subscriber
from pytest_meshcheck.meshes.envoy.process.hot_restart import PATIENT_ENDS, Generation, workload_of
from pytest_meshcheck.meshes.envoy.process.launcher import Launcher
from pytest_meshcheck.meshes.envoy.process.sidecar import Sidecar
from pytest_meshcheck.meshes.envoy.sidecar_config import SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.listeners import HTTP_ALPN
from pytest_meshcheck.meshes.envoy.xds.resources import Resources, checked
from pytest_meshcheck.meshes.envoy.xds.translate import translate
from pytest_meshcheck.meshes.xfcc import HEADER, caller
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform
from pytest_meshcheck.platforms.local.addresses import Member
from pytest_meshcheck.platforms.local.platform import SIDECAR_LABEL, Processes

TRUST_DOMAIN = "cluster.local"
PATIENCE = 10.0
"""The time limit in seconds for a sidecar to accept a publication, before the timeout scale."""

REISSUING = (Rotation.LEAF, Rotation.ISSUER, Rotation.ISSUER_CERTIFICATE, Rotation.ROOT_SWITCH)
"""The steps after which every workload gets a new certificate."""

PublishHook = Callable[[str, Resources], Resources | None]
"""Takes ``namespace/name`` and the resources of its sidecar; returns the resources to publish instead."""


@dataclass
class DataPlane:
    """A sidecar with its certificate and its latest resources."""

    member: Member
    sidecar: Sidecar
    certificate: Certificate
    config: SidecarConfig | None = None


class EnvoyMesh(Mesh):
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

    def __init__(
        self,
        version: str | None = None,
        *,
        publish_hook: PublishHook | None = None,
        hooked: Callable[[], bool] = lambda: True,
        timeout_scale: float = 1.0,
        hot_restart: bool = False,
    ) -> None:
        """Start nothing yet.

        Args:
            version: Of Envoy; None for the installed one.
            publish_hook: Receives all resources before they are published, and can replace them.
            hooked: Whether that hook is implemented; otherwise no copies are made for it.
            timeout_scale: Factor for all time limits.
            hot_restart: Whether an upgrade replaces sidecars without interrupting traffic.
        """
        self.version = version or binary.installed_version() or ""
        self.authority = Authority(TRUST_DOMAIN)
        self._publish_hook = publish_hook
        self._hooked = hooked
        self._hot_restart = hot_restart
        self._patience = PATIENCE * timeout_scale
        self._in_service = asyncio.Event()
        self._in_service.set()
        self._one_at_a_time = asyncio.Lock()
        self._planes: dict[str, DataPlane] = {}
        self._retired: set[str] = set()
        self._platform: Processes | None = None
        self._binary: Path | None = None
        self._server: DiscoveryServer | None = None

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
        """Each policy as a resource of this mesh, which can express all of them."""
        return [render(policy) for policy in policies]

    async def settled(self) -> None:
        """Return once every sidecar runs the newest configuration; only sidecars with new resources are asked.

        Raises:
            Inconclusive: A sidecar rejected it, died or takes too long; names the sidecar and the reason.
        """
        self._of_platform().check()
        self._discovery.check()
        for plane in self._planes.values():
            plane.certificate.check()
        waits = (plane.sidecar.settled(self._patience) for plane in self._planes.values())
        faults = [fault for fault in await asyncio.gather(*waits, return_exceptions=True) if fault is not None]
        for fault in faults:
            raise fault

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

    async def restart_data_plane(self, workload: Workload) -> None:
        """Kill the sidecar of a workload, and start another one; open connections are lost."""
        await self._launcher.restart(self._planes[str(workload)].sidecar)
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

    def publish(self, *, force: bool = False) -> None:
        """Send every sidecar its changes; with ``force``, call the hook for unchanged resources too."""
        snapshot = self._snapshot()
        for plane in self._planes.values():
            config = snapshot.config_of(plane.member, plane.certificate.credentials)
            if force or config != plane.config:
                plane.sidecar.publish(self._resources(config))
                plane.config = config

    async def admit(self, member: Member) -> None:
        """Start the sidecar of a workload, and publish the workload's address to the others."""
        self._discovery.check()
        if member.sidecar:
            plane = await self._enter(member)
            self.publish()
            await self._launcher.run(plane.sidecar)
        else:
            self.publish()
        await self.settled()

    async def dismiss(self, member: Member) -> None:
        """Stop the sidecar of a workload, and remove the workload from the configuration of the others."""
        self._retired.discard(str(member))
        plane = self._planes.get(str(member))
        if plane is not None:
            await self._remove(plane)
        self.publish()

    async def retire(self, member: Member) -> None:
        """Withdraw a workload from the endpoints of its service, and drain its sidecar, if it has one."""
        self._retired.add(str(member))
        self.publish()
        if plane := self._planes.get(str(member)):
            await plane.sidecar.drain()
        await self.settled()

    async def changed(self) -> None:
        """Publish the changes on the platform."""
        self.publish()

    def _subscriber(self, node: str) -> Subscriber | None:
        plane = self._planes.get(workload_of(node))
        return plane.sidecar.subscriber if plane else None

    def _of_platform(self) -> Processes:
        if self._platform is None:
            raise Inconclusive("the embedded mesh is not installed")
        return self._platform

    @property
    def _discovery(self) -> DiscoveryServer:
        if self._server is None:
            raise Inconclusive("the embedded mesh is not installed")
        return self._server

    @property
    def _launcher(self) -> Launcher:
        if self._binary is None:
            raise Inconclusive("the embedded mesh is not installed")
        return Launcher(self._of_platform(), self._binary, self._patience, self._one_at_a_time)

    def _snapshot(self) -> Snapshot:
        platform = self._of_platform()
        return Snapshot(
            trust_domain=TRUST_DOMAIN,
            roots=self.authority.bundle(),
            members=tuple(platform.members.values()),
            retired=frozenset(self._retired),
            policies=PolicySet(platform.resources.values()),
            endpoint=platform.endpoint_address,
        )

    def _resources(self, config: SidecarConfig) -> Resources:
        resources = translate(config)
        if self._publish_hook is None or not self._hooked():
            return resources
        published = self._publish_hook(config.workload, _copied(resources))
        return resources if published is None else checked(config.workload, _copied(published))

    async def _enter(self, member: Member) -> DataPlane:
        uri, term = self.identity_of(member.spec), Term.of(member.spec)
        certificate = Certificate(self.authority, uri, term, self._in_service, self.publish)
        await certificate.begin(self._patience)
        platform, name = self._of_platform(), str(member).replace("/", ".")
        generation = self._generation(member)
        admin = platform.socket(f"{name}/{ADMIN_SOCKET}")
        plane = DataPlane(member, Sidecar(str(member), platform.directory / name, admin, generation), certificate)
        self._planes[str(member)] = plane
        return plane

    def _generation(self, member: Member) -> Generation | None:
        if member.spec.replaceable:
            return Generation(member.line, ends=PATIENT_ENDS)
        return Generation(member.line) if self._hot_restart else None

    async def _remove(self, plane: DataPlane) -> None:
        del self._planes[str(plane.member)]
        plane.certificate.end()
        await self._launcher.stop(plane.sidecar)
        shutil.rmtree(plane.sidecar.directory)
        if plane.sidecar.generation is not None:
            plane.sidecar.generation.forget()

    @asynccontextmanager
    async def _outage(self) -> AsyncIterator[None]:
        self._in_service.clear()
        try:
            yield
        finally:
            self._in_service.set()


def _copied(resources: Resources) -> Resources:
    """A copy of plain data, several times faster than ``copy.deepcopy``."""
    copied: Resources = msgspec.json.decode(msgspec.json.encode(resources))
    return copied
