"""The interface between the suite and a service mesh: a vendor writes one subclass of ``Mesh``."""

import copy
import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.capability import NOT_CLAIMED, Capability, Claim
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable, Unsupported
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import Authority, Validity
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform, ProxyHop
from pytest_meshcheck.platforms.kubernetes.access.permissions import Permission


class Rotation(enum.StrEnum):
    """A step of a certificate rotation. Replacing a root takes the three root steps, in this order."""

    LEAF = "leaf"
    """Every workload gets a new certificate now."""
    ISSUER = "issuer"
    """A new intermediate under the same root."""
    ISSUER_CERTIFICATE = "issuer-certificate"
    """A new certificate of the intermediate, for the same key."""
    ROOT_ADD = "root-add"
    """Announce a second root; leaves stay under the first."""
    ROOT_SWITCH = "root-switch"
    """Issue under the second root; both stay announced."""
    ROOT_DROP = "root-drop"
    """Announce the second root alone."""

    @property
    def changes_roots(self) -> bool:
        """Whether it changes the announced roots."""
        return self in (Rotation.ROOT_ADD, Rotation.ROOT_DROP)


def rotate_authority(authority: Authority, what: Rotation, lifetime: float | None = None) -> None:
    """Advance an authority by one rotation step; leaf rotation does not change the authority.

    Args:
        authority: The authority of the mesh.
        what: The step.
        lifetime: Lifetime of a new issuer in seconds; None for the default of the authority.
    """
    validity = None if lifetime is None else Validity.of(timedelta(seconds=lifetime))
    match what:
        case Rotation.ISSUER:
            authority.rotate_issuer(validity)
        case Rotation.ISSUER_CERTIFICATE:
            authority.recertify_issuer()
        case Rotation.ROOT_ADD:
            authority.add_root()
        case Rotation.ROOT_SWITCH:
            authority.switch_root()
        case Rotation.ROOT_DROP:
            authority.drop_root()


@dataclass(frozen=True)
class TlsEndpoint:
    """The address at which the data plane of a workload terminates TLS.

    Attributes:
        address: The address to dial.
        server_name: The SNI; None sends none.
        alpn: The protocols to offer.
        tunnel: The authority of the HTTP/2 CONNECT that leads to the port inside TLS; empty without a tunnel.
    """

    address: Address
    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    tunnel: str = ""


class PlatformKind(enum.StrEnum):
    """The kind of platform that a mesh runs on."""

    PROCESSES = "local processes"
    KUBERNETES = "kubernetes"


class Mesh(ABC):
    """One service mesh under test.

    ``render`` and ``enrolment`` are pure: they can be tested without a mesh. No code outside an adapter branches on
    the name of a mesh.

    Attributes:
        name: The name in ``--mesh`` and in reports.
        version: The version; for a pre-installed mesh it is known after ``detect``.
        claims: Whether the mesh supports a capability, with the source; one that is left out is not claimed.
        documented: The behaviour that its documentation promises.
        authority: The authority that issues all certificates of the mesh.
        runs_on: The kind of platform that its workloads run on.
        installed_by_run: Whether this run installs the mesh, and so may disrupt it.
        kind_config: The shipped kind configuration that the mesh needs; empty for the default of kind.
        data_planes: For the report, the detected form of the data planes; empty if there is only one form.
        data_plane_in_workload: Whether a data plane shares the lifetime of a workload instance, so that only a new
            instance gets an upgraded data plane.
        data_plane_of_node: Whether the workloads of a node share a data plane, and so follow an upgrade together.
        returns_to_former_version: Whether ``upgrade`` also leads back to the version before the last upgrade, which
            data planes follow in the same way.
        one_lifetime: Whether the certificates of all workloads have the same lifetime, so that any workload shows the
            renewal.
        impostor_ports: The ports on which clients reach the impostor itself; None for all ports.
        plaintext_by_address: The ports on which a client's data plane speaks no TLS to a workload that is called by its
            own address, whoever that is, so that it meets no impostor there.
    """

    name: str
    version: str
    claims: Mapping[Capability, Claim]
    documented: Documented
    authority: Authority

    runs_on: PlatformKind = PlatformKind.PROCESSES
    installed_by_run: bool = True
    kind_config: str = ""
    data_planes: str = ""
    data_plane_in_workload: bool = False
    data_plane_of_node: bool = False
    returns_to_former_version: bool = False
    one_lifetime: bool = False
    impostor_ports: Collection[str] | None = None
    plaintext_by_address: Collection[str] = ()

    def claim(self, capability: Capability) -> Claim:
        """The claim to a capability."""
        return self.claims.get(capability, NOT_CLAIMED)

    @property
    def permissions(self) -> Sequence[Permission]:
        """The permissions that the adapter needs in addition to those of the platform."""
        return ()

    @property
    def charts(self) -> Collection[str]:
        """The names of the Helm charts of the mesh, which ``--mesh-values`` accepts; empty if it has none."""
        return ()

    def override(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Override the values of the adapter, by chart or ``*`` for every chart.

        Raises:
            MeshUnavailable: The mesh has no charts.
        """
        raise MeshUnavailable(f"{self.name} has no charts, but --mesh-values has values for {', '.join(values)}")

    def hops(self, client: WorkloadSpec) -> Sequence[ProxyHop]:
        """The intermediate proxies, in pods of the mesh, on the way from a client to a service, in order."""
        return ()

    @abstractmethod
    async def install(self, platform: Platform) -> None:
        """Install the mesh, and wait until its control plane works."""

    async def upgrade(self, version: str) -> None:
        """Upgrade the control plane in place; data planes follow later.

        Raises:
            Unsupported: The mesh has no such upgrade.
        """
        raise Unsupported(f"{self.name} {self.version} cannot be upgraded to {version}")

    def data_plane_upgrade(self, workloads: Sequence[Workload]) -> AbstractAsyncContextManager[None]:
        """Have the data planes of these workloads follow an upgrade.

        The new ones work and the old ones drain while the block runs, and have ended after it. Not called where they
        live in workloads, which are then restarted.
        """
        return nullcontext()

    def clone(self) -> Self:
        """A copy of the adapter for another platform, with the same authority."""
        return copy.copy(self)

    @abstractmethod
    async def uninstall(self) -> None:
        """Remove everything that ``install`` created."""

    @abstractmethod
    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """The labels and annotations that enrol a workload in the mesh, or exclude it."""

    def namespace_enrolment(self) -> Metadata:
        """The labels and annotations of a namespace that enrol all of its pods.

        Raises:
            Unsupported: The adapter does not implement enrolment by namespace.
        """
        raise Unsupported(
            f"the adapter of {self.name} enrols no namespaces: it has no method namespace_enrolment; take "
            "namespace(enrolled=False), and enrol the pods in their own manifests"
        )

    @abstractmethod
    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """All applied policies as resources of the mesh; of two resources with one name, the last counts.

        Several policies for one service may have to share a resource.

        Raises:
            Unsupported: The mesh cannot express one of the policies.
        """

    def on_rejection(self, error: Inconclusive) -> Inconclusive | Unsupported:
        """What to raise where the platform rejects rendered resources: by default the same error.

        It is ``Unsupported`` where the release of an API that the cluster has cannot express a policy.
        """
        return error

    @abstractmethod
    async def settled(self) -> None:
        """Return once every data plane runs the newest configuration.

        Raises:
            Inconclusive: A data plane rejected the configuration, died or took too long; names it and the reason.
        """

    @abstractmethod
    def identity_of(self, workload: WorkloadSpec) -> str:
        """The identity in the workload's certificate: a SPIFFE URI, or a DNS name."""

    @abstractmethod
    def peer_identity(self, attempt: Attempt) -> str | None:
        """The identity of the caller, as the mesh passes it to the application; None if it passes none."""

    @abstractmethod
    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The endpoint for TLS handshakes that the suite makes itself."""

    @abstractmethod
    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation step; ``settled`` returns when the data planes have applied it.

        ``lifetime`` is the lifetime of a new issuer in seconds; None for the default of the authority.
        """

    async def give_authority(self, files: AuthorityFiles) -> str:
        """Give the control plane these files in place of those of the authority.

        Returns:
            The complaint of the control plane about them; empty if it has none.

        Raises:
            Unsupported: The mesh takes no files of an authority.
        """
        raise self._unsupported(Capability.CUSTOM_AUTHORITY)

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """The authority issues nothing while the block runs; it works again when the block has ended.

        Raises:
            Unsupported: The authority cannot be stopped.
        """
        raise self._unsupported(Capability.CA_OUTAGE)

    def deregistration(self, workload: Workload) -> AbstractAsyncContextManager[None]:
        """The authority does not know the workload while the block runs; it is registered again when it has ended.

        Raises:
            Unsupported: The mesh does not register workloads one by one.
            Inconclusive: The workload was not registered.
        """
        raise self._unsupported(Capability.MUTUAL_AUTHENTICATION)

    def control_plane_outage(self) -> AbstractAsyncContextManager[None]:
        """Nothing configures data planes while the block runs; the control plane works again when it has ended.

        Raises:
            Unsupported: The control plane cannot be stopped.
        """
        raise self._unsupported(Capability.CONTROL_PLANE_OUTAGE)

    @asynccontextmanager
    async def control_plane_return(self) -> AsyncIterator[None]:
        """Stop the control plane and start it again; the block begins once it reports that it is ready.

        An adapter whose ``control_plane_outage`` ends with more than that report overrides this.

        Raises:
            Unsupported: The control plane cannot be stopped.
        """
        async with self.control_plane_outage():
            pass
        yield

    async def kill_data_plane(self, workload: Workload) -> None:
        """Kill the data plane of a workload, and return once another one has been started, whether that works or not.

        Raises:
            Unsupported: It cannot be killed on its own.
            Inconclusive: No other one is started.
        """
        raise self._unsupported(Capability.PROXY_RESTART)

    async def restart_data_plane(self, workload: Workload) -> None:
        """Kill the data plane of a workload, and wait until it works again.

        Raises:
            Unsupported: It cannot be killed on its own.
            Inconclusive: It does not come back.
        """
        raise self._unsupported(Capability.PROXY_RESTART)

    def data_plane_replacement(self, workload: Workload) -> AbstractAsyncContextManager[None]:
        """Replace the data plane of a workload: the new one works and the old one drains while the block runs.

        Raises:
            Unsupported: It cannot be replaced.
            Inconclusive: The new one does not work.
        """
        raise self._unsupported(Capability.PROXY_REPLACEMENT)

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(f"{self.name} does not claim {capability}: {self.claim(capability).why}")

    @abstractmethod
    async def diagnose(self, directory: Path) -> None:
        """Write the state of the control plane and the data planes into ``directory``, without secrets."""
