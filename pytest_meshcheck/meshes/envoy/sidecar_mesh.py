"""A mesh of sidecars: one is started for each enrolled workload, and configured by this process."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.meshes.envoy.certificates import Certificate, Term
from pytest_meshcheck.meshes.envoy.control_plane import Snapshot
from pytest_meshcheck.meshes.envoy.policies import PolicySet
from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.meshes.envoy.process.bootstrap import ADMIN_SOCKET
from pytest_meshcheck.meshes.envoy.process.discovery import DiscoveryServer, Subscriber
from pytest_meshcheck.meshes.envoy.process.hot_restart import PATIENT_ENDS, Generation, workload_of
from pytest_meshcheck.meshes.envoy.process.launcher import Launcher
from pytest_meshcheck.meshes.envoy.process.sidecar import Sidecar
from pytest_meshcheck.meshes.envoy.sidecar_config import SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.resources import Resources, checked
from pytest_meshcheck.meshes.envoy.xds.translate import translate
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.platforms.local.addresses import Member
from pytest_meshcheck.platforms.local.platform import Processes

TRUST_DOMAIN = "cluster.local"
PATIENCE = 10.0
"""The time limit in seconds for a sidecar to accept a publication, before the timeout scale."""

PublishHook = Callable[[str, Resources], Resources | None]
"""Takes ``namespace/name`` and the resources of its sidecar; returns the resources to publish instead."""


@dataclass
class DataPlane:
    """A sidecar with its certificate and its latest resources."""

    member: Member
    sidecar: Sidecar
    certificate: Certificate
    config: SidecarConfig | None = None


class SidecarMesh(Mesh):
    """Starts, configures and stops sidecars; a publish hook can replace their configuration."""

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
        plane.sidecar.dismiss()
        await self._launcher.stop(plane.sidecar)
        shutil.rmtree(plane.sidecar.directory)
        if plane.sidecar.generation is not None:
            plane.sidecar.generation.forget()


def _copied(resources: Resources) -> Resources:
    """A copy of plain data, several times faster than ``copy.deepcopy``."""
    copied: Resources = msgspec.json.decode(msgspec.json.encode(resources))
    return copied
