"""Policies: mesh-neutral statements of intent, which each mesh renders as its own resources."""

import enum
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from pytest_meshcheck.probe.protocol.messages import POLICIES_HEADER


class Named(Protocol):
    """The target of a policy: a workload, with the service of the same name in front of it."""

    @property
    def namespace(self) -> str:
        """The namespace's plain name, e.g. ``blue``."""

    @property
    def name(self) -> str:
        """The common name of workload and service, e.g. ``server``."""


@dataclass(frozen=True)
class Namespace:
    """Every workload of one namespace."""

    namespace: str


@dataclass(frozen=True)
class WholeMesh:
    """Every enrolled workload."""


class Mode(enum.StrEnum):
    """The strictness of mutual TLS."""

    PERMISSIVE = "permissive"
    STRICT = "strict"


class Scope(enum.IntEnum):
    """How much a policy covers; the greater value is the narrower scope."""

    MESH = 0
    NAMESPACE = 1
    WORKLOAD = 2


@dataclass(frozen=True)
class ServerPolicy(ABC):
    """A policy for the admission of callers; the data planes of servers apply it.

    Attributes:
        target: The workloads that it covers. The narrower scope wins: port over workload over namespace over mesh.
        drops: Whether it drops packets instead of rejecting; false for policies of data planes.
    """

    target: Named | Namespace | WholeMesh
    drops: ClassVar[bool] = False

    @property
    def is_wide(self) -> bool:
        """Whether it covers every workload of the mesh, including those of other users."""
        return isinstance(self.target, WholeMesh)

    @property
    def scope(self) -> Scope:
        """How much it covers."""
        match self.target:
            case WholeMesh():
                return Scope.MESH
            case Namespace():
                return Scope.NAMESPACE
            case _:
                return Scope.WORKLOAD

    def covers(self, server: Named) -> bool:
        """Whether it covers a workload."""
        match self.target:
            case WholeMesh():
                return True
            case Namespace(namespace):
                return server.namespace == namespace
            case target:
                return (server.namespace, server.name) == (target.namespace, target.name)

    def admits(self, caller: "Named", port: str) -> bool:
        """Whether a covered port admits an enrolled caller."""
        return True

    def allows(self, caller: "Named", server: Named, port: str) -> bool:
        """Whether an enrolled caller may connect to a port of a server, as far as this policy goes."""
        return not self.covers(server) or self.admits(caller, port)

    @abstractmethod
    def admits_outsiders(self, port: str) -> bool | None:
        """Whether a covered port admits callers outside the mesh; None if the policy does not decide that."""


@dataclass(frozen=True)
class ServicePolicy:
    """A policy for calls to a service; the data planes of clients apply it.

    Attributes:
        target: The service.
    """

    target: Named


@dataclass(frozen=True)
class MutualTls(ServerPolicy):
    """Whether a workload admits callers without mutual TLS.

    Attributes:
        mode: The mode for every port of the target; None inherits that of the wider scope.
        ports: Modes for single ports, by name; only if the target is one workload.
    """

    mode: Mode | None
    ports: Mapping[str, Mode] = field(default_factory=dict)

    def admits_outsiders(self, port: str) -> bool | None:
        """Permissive mutual TLS admits plaintext; an inherited mode is not decided here."""
        mode = self.ports.get(port, self.mode)
        return None if mode is None else mode is Mode.PERMISSIVE


@dataclass(frozen=True)
class NetworkPolicy(ServerPolicy):
    """Who may connect to a workload, decided by its network at layers 3 and 4: these callers to these ports, no others.

    Attributes:
        callers: Enrolled workloads, which the network recognises by their labels and namespaces.
        ports: The names of ports of the target.
    """

    drops: ClassVar[bool] = True
    callers: tuple[Named, ...] = ()
    ports: tuple[str, ...] = ()

    def admits(self, caller: Named, port: str) -> bool:
        """Whether both are listed."""
        return _is_one_of(caller, self.callers) and port in self.ports

    def admits_outsiders(self, port: str) -> bool:
        """Never: the callers are enrolled."""
        return False


@dataclass(frozen=True)
class EgressPolicy:
    """Whom a workload may connect to, decided by its network at layers 3 and 4: these servers and ports, no others.

    Names are resolved all the same.

    Attributes:
        target: The workload.
        servers: Workloads, which the network recognises by their labels and namespaces.
        ports: The names of ports of these servers.
    """

    target: Named
    servers: tuple[Named, ...] = ()
    ports: tuple[str, ...] = ()

    def allows(self, caller: Named, server: Named, port: str) -> bool:
        """Whether a caller may connect to a port of a server, as far as this policy goes."""
        return not _is_one_of(caller, [self.target]) or (_is_one_of(server, self.servers) and port in self.ports)


def _is_one_of(workload: Named, listed: Iterable[Named]) -> bool:
    return (workload.namespace, workload.name) in {(one.namespace, one.name) for one in listed}


def admits_outsiders(policies: Sequence[ServerPolicy], server: Named, port: str) -> bool | None:
    """Whether a port of a server admits callers outside the mesh.

    Of each kind of policy the narrowest one that decides it counts, of several in one scope the last one; where kinds
    differ, one that admits nobody is enough. None if no policy decides it.
    """
    deciding: dict[type[ServerPolicy], bool] = {}
    for policy in sorted(policies, key=lambda policy: policy.scope):
        decision = policy.admits_outsiders(port) if policy.covers(server) else None
        if decision is not None:
            deciding[type(policy)] = decision
    return all(deciding.values()) if deciding else None


class Failure(enum.StrEnum):
    """A kind of failed attempt; ``Retry.on`` lists the kinds to retry."""

    STATUS = "status"
    """An HTTP status listed in ``Retry.statuses``."""
    CONNECT = "connect-failure"
    """No connection to the endpoint."""
    RESET = "reset"
    """The connection or stream ended before the head of a response, which includes a time-out of the attempt."""
    REFUSED_STREAM = "refused-stream"
    """RST_STREAM with REFUSED_STREAM: the server guarantees that it did not process the request (RFC 9113 8.7)."""
    GRPC_CANCELLED = "grpc-cancelled"
    GRPC_DEADLINE_EXCEEDED = "grpc-deadline-exceeded"
    GRPC_INTERNAL = "grpc-internal"
    GRPC_RESOURCE_EXHAUSTED = "grpc-resource-exhausted"
    GRPC_UNAVAILABLE = "grpc-unavailable"


@dataclass(frozen=True)
class Retry(ServicePolicy):
    """Retry failed requests to a service.

    Attributes:
        attempts: The number of retries after the first attempt; 0 disables retries, including defaults of the mesh.
        statuses: The HTTP statuses to retry; any set, kept as a frozen one.
        on: Other failures to retry; likewise.
        per_try: Time limit of one attempt in seconds; None for no limit.
    """

    attempts: int
    statuses: AbstractSet[int] = frozenset()
    on: AbstractSet[Failure] = frozenset()
    per_try: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "statuses", frozenset(self.statuses))
        object.__setattr__(self, "on", frozenset(self.on))


@dataclass(frozen=True)
class RetryBudget(ServicePolicy):
    """Bounds the retries of all requests to a service together, as counted by each of its callers.

    Attributes:
        percent: Retries in flight, as a percentage of the requests in flight; None leaves it to the mesh's default. How
            many may be in flight whatever that comes to is the mesh's default as well.
    """

    percent: float | None = None


@dataclass(frozen=True)
class Timeout(ServicePolicy):
    """The time limit of requests to a service.

    Attributes:
        request: Time limit of the whole request in seconds, including retries and back-off; 0 for no limit.
    """

    request: float


@dataclass(frozen=True)
class FieldTimeout(Timeout):
    """The same in a field of the Gateway API, ``timeouts.request`` of an HTTPRoute.

    Only of a mesh that renders ``Timeout`` in a way of its own.
    """


@dataclass(frozen=True)
class RequestsPerConnection(ServicePolicy):
    """Limits the reuse of connections between data planes, so that new handshakes use new certificates.

    Attributes:
        limit: Maximum number of requests on one connection.
    """

    limit: int


@dataclass(frozen=True)
class RequireMutualTls(ServicePolicy):
    """Clients call the endpoints of a service over mutual TLS, or not at all; never in plaintext."""


WorkloadPolicy = ServerPolicy | EgressPolicy
Policy = WorkloadPolicy | ServicePolicy

MARK = POLICIES_HEADER


def about_workloads(policies: Sequence[Policy]) -> list[WorkloadPolicy]:
    """The policies about who may connect to a workload, and to whom it may connect."""
    return [policy for policy in policies if not isinstance(policy, ServicePolicy)]


def may_connect(policies: Iterable[WorkloadPolicy], caller: Named, server: Named, port: str) -> bool:
    """Whether every one of these policies lets a caller connect to a port of a server."""
    return all(policy.allows(caller, server, port) for policy in policies)


def about_service(policies: Sequence[Policy]) -> dict[tuple[str, str], list[ServicePolicy]]:
    """The client-side policies, by namespace and name of their service."""
    found: dict[tuple[str, str], list[ServicePolicy]] = {}
    for policy in policies:
        if isinstance(policy, ServicePolicy):
            found.setdefault((policy.target.namespace, policy.target.name), []).append(policy)
    return found


def mark(policies: Sequence[Policy]) -> str:
    """The value of ``MARK`` for the policies of one service, which differs if any of them differs."""
    texts = [f"{type(policy).__name__} {_values(policy)}" for policy in policies]
    return hashlib.sha256("; ".join(texts).encode()).hexdigest()[:12]


def _values(policy: Policy) -> str:
    values = {name: value for name, value in vars(policy).items() if name != "target"}
    return repr({name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()})
