"""The seam between the suite and a service mesh: a vendor writes one subclass of ``Mesh``."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import MeshUnavailable, Unsupported
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import Authority, Validity
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform, Stop
from pytest_meshcheck.platforms.kubernetes.access.permissions import Permission


class Rotation(enum.StrEnum):
    """What a mesh can be told to rotate. A change of root is the three root steps, in this order."""

    LEAF = "leaf"
    """Every workload gets a new certificate now."""
    ISSUER = "issuer"
    """A new intermediate under the same root."""
    ROOT_ADD = "root-add"
    """Announce a second root; leaves stay under the first."""
    ROOT_SWITCH = "root-switch"
    """Issue under the second root; both stay announced."""
    ROOT_DROP = "root-drop"
    """Announce the second root alone."""


def rotate_authority(authority: Authority, what: Rotation, lifetime: float | None = None) -> None:
    """Have an authority make a step; what concerns leaves alone is nothing to it.

    Args:
        authority: That of the mesh.
        what: The step.
        lifetime: Seconds that a new issuer lives; None for what the authority does by default.
    """
    validity = None if lifetime is None else Validity.of(timedelta(seconds=lifetime))
    match what:
        case Rotation.ISSUER:
            authority.rotate_issuer(validity)
        case Rotation.ROOT_ADD:
            authority.add_root()
        case Rotation.ROOT_SWITCH:
            authority.switch_root()
        case Rotation.ROOT_DROP:
            authority.drop_root()


@dataclass(frozen=True)
class TlsEndpoint:
    """Where a TLS handshake meets the data plane of a workload.

    Attributes:
        address: Where to dial.
        server_name: The SNI; None: none is sent.
        alpn: What is offered.
        tunnel: The authority of an HTTP/2 CONNECT by which the port is reached inside; empty: TLS is all there is.
    """

    address: Address
    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    tunnel: str = ""


class Home(enum.StrEnum):
    """What a mesh runs on."""

    PROCESSES = "local processes"
    KUBERNETES = "kubernetes"


class Mesh(ABC):
    """One service mesh under test.

    ``render`` and ``enrolment`` are pure: they can be tested without a mesh. Nothing outside of an adapter asks for
    a mesh's name to decide what to do.

    Attributes:
        name: What ``--mesh`` asks for, and what reports call it.
        version: Known once the adapter is made; of a mesh that was there already, once it was looked at.
        claims: What it says it can do, and where.
        documented: What its documentation promises in detail.
        authority: Issues every certificate in it.
        runs_on: Where its workloads run.
        ours: Whether the suite installed it, so that it may be disrupted.
        kind_config: The shipped kind configuration that it needs; empty where kind's own will do.
        data_planes: Which of several forms the data planes were found to have, for the report; empty: there is one.
        data_plane_in_workload: Whether a data plane lives as long as the instance of the workload that it serves, so
            that it follows an upgrade with the next instance only.
        one_lifetime: Whether the certificates of all workloads live equally long, so that any of them shows how they
            are renewed.
        impostor_ports: The ports on which others meet a feigned workload itself; None: all.
    """

    name: str
    version: str
    claims: Mapping[Capability, Claim]
    documented: Documented
    authority: Authority

    runs_on: Home = Home.PROCESSES
    ours: bool = True
    kind_config: str = ""
    data_planes: str = ""
    data_plane_in_workload: bool = False
    one_lifetime: bool = False
    impostor_ports: Collection[str] | None = None

    @property
    def permissions(self) -> Sequence[Permission]:
        """What it does in a cluster besides what the platform does there."""
        return ()

    @property
    def charts(self) -> Collection[str]:
        """The Helm charts that values may be given for; empty where there are none."""
        return ()

    def override(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Have these values, by chart or ``*`` for every chart, overrule the adapter's.

        Raises:
            MeshUnavailable: It has no charts.
        """
        raise MeshUnavailable(f"{self.name} has no charts that could be given the values of {', '.join(values)}")

    def stops(self, client: WorkloadSpec) -> Sequence[Stop]:
        """The proxies of its own pods that requests of a client to a service pass, in this order."""
        return ()

    @abstractmethod
    async def install(self, platform: Platform) -> None:
        """Install the mesh and wait until it is really ready."""

    async def upgrade(self, version: str) -> None:
        """Move to another version, in place.

        Raises:
            Unsupported: It cannot.
        """
        raise Unsupported(f"{self.name} {self.version} cannot be upgraded to {version}")

    @abstractmethod
    async def uninstall(self) -> None:
        """Remove what ``install`` made."""

    @abstractmethod
    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """The labels and annotations that make a workload part of the mesh, or keep it out."""

    def namespace_enrolment(self) -> Metadata:
        """The labels and annotations of a namespace all of whose pods are to be part of the mesh.

        Raises:
            Unsupported: The adapter does not say how the mesh enrols a namespace.
        """
        raise Unsupported(
            f"the adapter of {self.name} enrols no namespaces: it has no method namespace_enrolment; take "
            "namespace(enrolled=False), and enrol the pods in their own manifests"
        )

    @abstractmethod
    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Everything that is in force, in the mesh's own resources; of two resources of one name the last counts.

        Several policies about one service may have to share a resource.

        Raises:
            Unsupported: The mesh cannot express one of them.
        """

    @abstractmethod
    async def settled(self) -> None:
        """Return once every data plane runs the newest configuration.

        Raises:
            Inconclusive: One of them rejects it, is gone or takes too long; says which, and why.
        """

    @abstractmethod
    def identity_of(self, workload: WorkloadSpec) -> str:
        """The identity in the workload's certificate: a SPIFFE URI, or a DNS name."""

    @abstractmethod
    def peer_identity(self, attempt: Attempt) -> str | None:
        """The caller's identity as the server's application was told it; None where it was told none."""

    @abstractmethod
    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """Where to knock with a TLS handshake of one's own."""

    @abstractmethod
    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation; ``settled`` tells when the data planes have it.

        ``lifetime`` is that of a new issuer, in seconds; None for what the authority does by default.
        """

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """The authority issues nothing while the block runs.

        Raises:
            Unsupported: There is no way to stop it.
        """
        claim = self.claims[Capability.CA_OUTAGE]
        raise Unsupported(f"the authority of {self.name} cannot be stopped: {claim.note} ({claim.source})")

    @abstractmethod
    async def diagnose(self, directory: Path) -> None:
        """Write the state of control and data planes into ``directory``, without any secret."""
