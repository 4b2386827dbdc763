"""The seam between the suite and a service mesh: a vendor writes one class with these members."""

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.observation import Attempt, Ending, Form
from pytest_meshcheck.model.pki import Authority, Validity
from pytest_meshcheck.model.policy import Failure, Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform, Stop
from pytest_meshcheck.platforms.kubernetes.permissions import Permission


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


@dataclass(frozen=True)
class Default:
    """One row of the table of default retries: what happens to a request under no policy.

    Attributes:
        method: An HTTP method, or ``gRPC``.
        failure: How each attempt fails.
        status: The HTTP status, or the gRPC status, of the failing attempts; 0 where there is none.
        attempts: How many attempts reach the application.
    """

    method: str
    failure: Failure
    status: int
    attempts: int


@dataclass(frozen=True)
class Documented:
    """What the mesh's documentation promises, with the sources. Seconds throughout.

    Attributes:
        plaintext_refused_as: The forms in which plaintext is refused under strict mutual TLS.
        silent_refused_as: The same for a client that says nothing, because the server speaks first.
        peer_refused_as: The forms in which a TLS peer is refused.
        upstream_refused_statuses: HTTP statuses that a client gets when its data plane refuses the server.
        identity_headers: Headers by which a server's application is told the caller's identity.
        timeout_status: HTTP status after a request timeout.
        timeout_grpc_status: gRPC status after a request timeout.
        exhausted_statuses: HTTP statuses that replace the last answer after the last retry; empty: it is passed on.
        retriable_statuses: HTTP statuses that a retry policy can list.
        retriable_failures: Other failures that a retry policy can list.
        retries_status_in_trailers: Whether a gRPC status is retried also where it comes after the head of the answer.
        default_attempts: Attempts under no policy; what is not in the table is tried once.
        default_timeout: The limit of a request under no policy; None: there is none.
        retry_body_limit: Octets of a request body above which a request is not retried; None: none documented.
        leaf_lifetime: The shortest lifetime of workload certificates that the mesh can be set to.
        leaf_renewed_within: Latest renewal after issue, for certificates of that lifetime.
        issuer_acts_within: From the change of an issuer until every new leaf chains to it, at that lifetime.
        roots_act_within: From a change of the roots until every data plane goes by it.
        roots_reach_running: Whether a data plane that runs learns of a change of the roots; where not, its workload is
            to be restarted, and the suite does that as soon as the change has begun.
        policies_act_within: From a policy until every data plane goes by it, which the suite then waits for by traffic;
            0 where ``settled`` knows exactly.
        sources: Field name to URL.
    """

    plaintext_refused_as: frozenset[Form]
    peer_refused_as: frozenset[Form]
    silent_refused_as: frozenset[Form] = frozenset({Ending.RESET, Ending.CLOSED})
    upstream_refused_statuses: frozenset[int] = frozenset({503})
    identity_headers: tuple[str, ...] = ("x-forwarded-client-cert",)
    timeout_status: int = 504
    timeout_grpc_status: int = 4
    exhausted_statuses: frozenset[int] = frozenset()
    retriable_statuses: tuple[int, ...] = ()
    retriable_failures: frozenset[Failure] = frozenset()
    retries_status_in_trailers: bool = True
    default_attempts: Sequence[Default] = ()
    default_timeout: float | None = None
    retry_body_limit: int | None = None
    leaf_lifetime: float = 3600.0
    leaf_renewed_within: float = 1800.0
    issuer_acts_within: float = 60.0
    roots_act_within: float = 60.0
    roots_reach_running: bool = True
    policies_act_within: float = 0.0
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_asked(self) -> bool:
        """Whether the suite asks by traffic when something acts, as ``settled`` cannot know."""
        return self.policies_act_within > 0

    def source(self, field_name: str) -> str:
        """Where the mesh's documentation says so; empty where the adapter names no source."""
        return self.sources.get(field_name, "")

    def attempts_by_default(self, method: str, failure: Failure, status: int = 0) -> int:
        """How many attempts of a request that keeps failing like this reach the application, under no policy."""
        for row in self.default_attempts:
            if (row.method, row.failure, row.status) == (method, failure, status):
                return row.attempts
        return 1


class Home(enum.StrEnum):
    """What a mesh runs on."""

    PROCESSES = "local processes"
    KUBERNETES = "kubernetes"


class Mesh(Protocol):
    """One service mesh under test.

    An adapter may have more members: ``runs_on: Home``, without which it runs on local processes;
    ``permissions: Sequence[Permission]``, what it does in a cluster besides what the platform does there;
    ``data_planes: str``, which of several forms they were found to have, for the report;
    ``kind_config: str``, the shipped kind configuration that it needs; ``ours: bool``, false where it was there before
    the run; ``data_plane_in_workload: bool``, whether a data plane follows an upgrade with a new instance of its
    workload only; ``one_lifetime: bool``, whether the certificates of all workloads live equally long;
    ``charts: Collection[str]``, the names of the Helm charts that values may be given for;
    ``stops(client: WorkloadSpec) -> Sequence[Stop]``, the proxies of its own pods that requests of a
    client to a service pass, in this order; ``impostor_ports: Collection[str]``, the ports on which others meet a
    feigned workload itself; and ``namespace_enrolment() -> Metadata``, the labels and annotations of a namespace all of
    whose pods are to be part of the mesh, for namespaces of a user's own tests.

    ``render`` and ``enrolment`` are pure: they can be tested without a mesh. Nothing outside of an adapter asks for
    a mesh's name to decide what to do.
    """

    name: str
    version: str
    claims: Mapping[Capability, Claim]
    documented: Documented
    authority: Authority

    async def install(self, platform: Platform) -> None:
        """Install the mesh and wait until it is really ready."""

    async def upgrade(self, version: str) -> None:
        """Move to another version, in place."""

    async def uninstall(self) -> None:
        """Remove what ``install`` made."""

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """The labels and annotations that make a workload part of the mesh, or keep it out."""

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Everything that is in force, in the mesh's own resources; of two resources of one name the last counts.

        Several policies about one service may have to share a resource.

        Raises:
            Unsupported: The mesh cannot express one of them.
        """

    async def settled(self) -> None:
        """Return once every data plane runs the newest configuration.

        Raises:
            Inconclusive: One of them rejects it, is gone or takes too long; says which, and why.
        """

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The identity in the workload's certificate: a SPIFFE URI, or a DNS name."""

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The caller's identity as the server's application was told it; None where it was told none."""

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """Where to knock with a TLS handshake of one's own."""

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation; ``settled`` tells when the data planes have it.

        ``lifetime`` is that of a new issuer, in seconds; None for what the authority does by default.
        """

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """The authority issues nothing while the block runs."""

    async def diagnose(self, directory: Path) -> None:
        """Write the state of control and data planes into ``directory``, without any secret."""


def home_of(adapter: Mesh) -> Home:
    """What a mesh runs on."""
    return Home(getattr(adapter, "runs_on", Home.PROCESSES))


def is_ours(adapter: Mesh) -> bool:
    """Whether a mesh was installed by the suite, so that it may be disrupted."""
    return bool(getattr(adapter, "ours", True))


def data_planes_of(adapter: Mesh) -> str:
    """Which of several forms the data planes of a mesh were found to have; empty where it says nothing of it."""
    return str(getattr(adapter, "data_planes", ""))


def kind_config_of(adapter: Mesh) -> str:
    """The shipped kind configuration that a mesh needs; empty where kind's own will do."""
    return str(getattr(adapter, "kind_config", ""))


def charts_of(adapter: Mesh) -> Collection[str]:
    """The Helm charts that values may be given for; empty where the adapter says nothing of it."""
    charts: Collection[str] = getattr(adapter, "charts", ())
    return charts


def meets_impostors(adapter: Mesh, port: str) -> bool:
    """Whether a feigned workload is met itself on a port; where the adapter says nothing of it, it is on every one."""
    return port in getattr(adapter, "impostor_ports", (port,))


def permissions_of(adapter: Mesh) -> Sequence[Permission]:
    """What a mesh does in a cluster besides what the platform does there."""
    permissions: Sequence[Permission] = getattr(adapter, "permissions", ())
    return permissions


def has_data_plane_in_workload(adapter: Mesh) -> bool:
    """Whether a data plane lives as long as the instance of the workload that it serves."""
    return bool(getattr(adapter, "data_plane_in_workload", False))


def has_one_lifetime(adapter: Mesh) -> bool:
    """Whether the certificates of all workloads live equally long, so that any of them shows how they are renewed."""
    return bool(getattr(adapter, "one_lifetime", False))


def namespace_enrolment_of(adapter: Mesh) -> Metadata:
    """The labels and annotations of a namespace all of whose pods are to be part of the mesh.

    Raises:
        Unsupported: The adapter does not say how the mesh enrols a namespace.
    """
    enrolment: Callable[[], Metadata] | None = getattr(adapter, "namespace_enrolment", None)
    if enrolment is None:
        raise Unsupported(
            f"the adapter of {adapter.name} enrols no namespaces: it has no method namespace_enrolment; take "
            "namespace(enrolled=False), and enrol the pods in their own manifests"
        )
    return enrolment()


def stops_of(adapter: Mesh, client: WorkloadSpec) -> Sequence[Stop]:
    """The proxies that requests of a client to a service pass outside of the pods of both."""
    stops: Callable[[WorkloadSpec], Sequence[Stop]] | None = getattr(adapter, "stops", None)
    return stops(client) if stops else ()
