"""Mesh-neutral statements of intent; a mesh renders each into resources of its own."""

import enum
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from pytest_meshcheck.probe.protocol.messages import POLICIES_HEADER


class Named(Protocol):
    """What a policy can be about: a workload, with the service of the same name in front of it."""

    @property
    def namespace(self) -> str:
        """The namespace's plain name, e.g. ``blue``."""

    @property
    def name(self) -> str:
        """The name of workload and service, e.g. ``server``."""


@dataclass(frozen=True)
class Namespace:
    """Every workload of one namespace."""

    namespace: str


@dataclass(frozen=True)
class WholeMesh:
    """Every enrolled workload."""


class Mode(enum.StrEnum):
    """How strictly mutual TLS is asked for."""

    PERMISSIVE = "permissive"
    STRICT = "strict"


@dataclass(frozen=True)
class ServerPolicy(ABC):
    """Who is let in: servers act on it, whoever calls.

    Attributes:
        target: The workloads that it is about. The narrower scope wins: port over workload over namespace over mesh.
    """

    target: Named | Namespace | WholeMesh

    @property
    def is_wide(self) -> bool:
        """Whether it reaches every workload of the mesh, those of other people too."""
        return isinstance(self.target, WholeMesh)

    def covers(self, server: Named) -> bool:
        """Whether a workload is within its scope."""
        match self.target:
            case WholeMesh():
                return True
            case Namespace(namespace):
                return server.namespace == namespace
            case target:
                return (server.namespace, server.name) == (target.namespace, target.name)

    @abstractmethod
    def admits_outsiders(self, port: str) -> bool | None:
        """Whether a covered port serves callers outside the mesh; None where the policy does not decide that."""


@dataclass(frozen=True)
class ServicePolicy:
    """How a service is called: the data planes of its clients act on it.

    Attributes:
        target: The service.
    """

    target: Named


@dataclass(frozen=True)
class MutualTls(ServerPolicy):
    """Whether a workload lets callers in without mutual TLS.

    Attributes:
        mode: What holds for every port of the target; None inherits from the wider scope.
        ports: What holds for single ports, by their name; only where the target is one workload.
    """

    mode: Mode | None
    ports: Mapping[str, Mode] = field(default_factory=dict)

    def admits_outsiders(self, port: str) -> bool | None:
        """Permissive mutual TLS admits plaintext; an inherited mode is not decided here."""
        mode = self.ports.get(port, self.mode)
        return None if mode is None else mode is Mode.PERMISSIVE


class Failure(enum.StrEnum):
    """A way in which an attempt fails; ``Retry.on`` lists those that are tried again."""

    STATUS = "status"
    """An HTTP status listed in ``Retry.statuses``."""
    CONNECT = "connect-failure"
    """No connection to the endpoint."""
    RESET = "reset"
    """The connection or stream ended before the head of an answer came, timeouts of single attempts among them."""
    REFUSED_STREAM = "refused-stream"
    """RST_STREAM with REFUSED_STREAM: the server promises that it did nothing (RFC 9113 8.7)."""
    GRPC_CANCELLED = "grpc-cancelled"
    GRPC_DEADLINE_EXCEEDED = "grpc-deadline-exceeded"
    GRPC_INTERNAL = "grpc-internal"
    GRPC_RESOURCE_EXHAUSTED = "grpc-resource-exhausted"
    GRPC_UNAVAILABLE = "grpc-unavailable"


@dataclass(frozen=True)
class Retry(ServicePolicy):
    """Try a failed request to a service again.

    Attributes:
        attempts: Retries on top of the first attempt; 0 turns retries off, also where the mesh has a default.
        statuses: HTTP statuses that are retried; any set, kept as a frozen one.
        on: Other failures that are retried; likewise.
        per_try: Seconds that one attempt may take; None for no limit.
    """

    attempts: int
    statuses: AbstractSet[int] = frozenset()
    on: AbstractSet[Failure] = frozenset()
    per_try: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "statuses", frozenset(self.statuses))
        object.__setattr__(self, "on", frozenset(self.on))


@dataclass(frozen=True)
class Timeout(ServicePolicy):
    """How long a client waits for a service.

    Attributes:
        request: Seconds for the whole request, retries and back-off among them; 0 means no limit.
    """

    request: float


@dataclass(frozen=True)
class RequestsPerConnection(ServicePolicy):
    """Bounds how long connections between data planes are reused, so that certificates meet on new handshakes.

    Attributes:
        limit: Requests after which a connection is given up.
    """

    limit: int


Policy = ServerPolicy | ServicePolicy

MARK = POLICIES_HEADER


def about_service(policies: Sequence[Policy]) -> dict[tuple[str, str], list[ServicePolicy]]:
    """The policies that clients' data planes go by, by namespace and name of the service that they are about."""
    found: dict[tuple[str, str], list[ServicePolicy]] = {}
    for policy in policies:
        if isinstance(policy, ServicePolicy):
            found.setdefault((policy.target.namespace, policy.target.name), []).append(policy)
    return found


def mark(policies: Sequence[Policy]) -> str:
    """The value of ``MARK`` for the policies about one service: another one where any of them differs."""
    texts = [f"{type(policy).__name__} {_values(policy)}" for policy in policies]
    return hashlib.sha256("; ".join(texts).encode()).hexdigest()[:12]


def _values(policy: Policy) -> str:
    values = {name: value for name, value in vars(policy).items() if name != "target"}
    return repr({name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()})
