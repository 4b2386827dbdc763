"""Specifications of workloads: names, enrolment, ports, and addresses."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from pytest_meshcheck.probe.protocol import messages as m


class Enrolment(enum.StrEnum):
    """Whether a workload is part of the mesh."""

    ENROLLED = "enrolled"
    UNENROLLED = "unenrolled"
    FEIGNED = "feigned"
    """Enrolled in name, but without a data plane: an impostor that speaks TLS itself."""


class Via(enum.StrEnum):
    """How a server is addressed."""

    SERVICE = "service"
    ADDRESS = "address"


@dataclass(frozen=True)
class Port:
    """A declared port of a workload and of the service of the same name in front of it."""

    name: str
    protocol: m.Protocol
    server_first: bool = False


PORTS = (
    Port("http", m.Protocol.HTTP1),
    Port("http-alt", m.Protocol.HTTP1),
    Port("grpc", m.Protocol.GRPC),
    Port("tcp", m.Protocol.TCP),
    Port("tcp-banner", m.Protocol.TCP, server_first=True),
)
"""What every workload serves."""


@dataclass(frozen=True)
class WorkloadSpec:
    """A workload, and the service of the same name in front of it, before it runs.

    Attributes:
        namespace: Name of the namespace: a plain one in a plan, that of ``Platform.namespace`` once it is started.
        name: Name of the workload, its service and its service account.
        enrolment: Whether it is part of the mesh.
        leaf_lifetime: Seconds that its certificates live; None for what the mesh does by default.
        ports: What it serves.
        calls: Whether it calls others; the data plane of one that never does need not know of them.
        replica: Which of the endpoints behind the service it is, from 1.
        replicas: How many endpoints the service has.
    """

    namespace: str
    name: str
    enrolment: Enrolment = Enrolment.ENROLLED
    leaf_lifetime: float | None = None
    ports: tuple[Port, ...] = PORTS
    calls: bool = True
    replica: int = 1
    replicas: int = 1

    @property
    def service_account(self) -> str:
        """Each workload has a service account of its own, of its own name."""
        return self.name

    @property
    def service(self) -> tuple[str, str]:
        """Namespace and name of the service in front of it, which it may share with other replicas."""
        return self.namespace, self.name

    @property
    def authority(self) -> str:
        """The name that clients address it by."""
        return f"{self.name}.{self.namespace}"

    def port(self, name: str) -> Port:
        """The port of that name; a KeyError names the declared ones."""
        return self.ports[self.position(name)]

    def position(self, name: str) -> int:
        """Which of the declared ports it is, from 0; a KeyError names them."""
        for position, port in enumerate(self.ports):
            if port.name == name:
                return position
        raise KeyError(
            f"{self.namespace}/{self.name} has no port {name!r}; it has {', '.join(p.name for p in self.ports)}"
        )

    def __str__(self) -> str:
        which = f".{self.replica}" if self.replica > 1 else ""
        return f"{self.namespace}/{self.name}{which}"


Address = tuple[str, int]
Resolver = Callable[[WorkloadSpec, WorkloadSpec, str, Via], Address]
"""Where a client dials to reach a server's port: (client, server, port name, via) -> address."""
