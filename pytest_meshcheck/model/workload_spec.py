"""Specifications of workloads: names, enrolment, ports, and addresses."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.probe.protocol import messages as m


class Enrolment(enum.StrEnum):
    """Whether a workload is part of the mesh."""

    ENROLLED = "enrolled"
    UNENROLLED = "unenrolled"
    IMPERSONATED = "impersonated"
    """An impostor: enrolled in name, but without a data plane; it speaks TLS itself."""


class Via(enum.StrEnum):
    """The way of addressing a server."""

    SERVICE = "service"
    ADDRESS = "address"


@dataclass(frozen=True)
class Port:
    """A declared port of a workload and of the service of the same name in front of it.

    Attributes:
        name: Its name.
        protocol: What it serves.
        server_first: Whether the server speaks first.
        number: Its number, where that is given; None where the platform chooses it.
    """

    name: str
    protocol: m.Protocol
    server_first: bool = False
    number: int | None = None


STARTS_WITHIN = 90.0
"""Seconds from the first resource of a workload until it must serve."""

PORTS = (
    Port("http", m.Protocol.HTTP1),
    Port("http-alt", m.Protocol.HTTP1),
    Port("grpc", m.Protocol.GRPC),
    Port("tcp", m.Protocol.TCP),
    Port("tcp-banner", m.Protocol.TCP, server_first=True),
)
"""The ports of every workload."""


@dataclass(frozen=True)
class FirstCall:
    """What an application calls as the first thing that it does: GET / over HTTP/1.1, once.

    Attributes:
        server: A running workload, whose service is called.
        port: The name of its port.
    """

    server: "WorkloadSpec"
    port: str = "http"


@dataclass(frozen=True)
class Placement:
    """The node of a workload, in relation to that of another.

    Attributes:
        other: A running workload.
        same_node: Whether both have to run on one node, or on two.
    """

    other: "WorkloadSpec"
    same_node: bool


@dataclass(frozen=True)
class Template:
    """What a user's manifest says about the pods of a workload, whose services and service account are given too.

    Attributes:
        labels: The labels of its pods.
        annotations: The annotations of its pods.
        service_account: The name of its service account.
    """

    service_account: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class WorkloadSpec:
    """The specification of a workload, and of the service of the same name in front of it.

    Attributes:
        namespace: Name of the namespace: a plain one before the start, that of ``Platform.namespace`` afterwards.
        name: Name of the workload, its service and its service account.
        enrolment: Whether it is part of the mesh.
        leaf_lifetime: Lifetime of its certificates in seconds; None for the default of the mesh.
        renewed_after: Age in seconds at which its certificates are due for renewal; None for the default of the mesh,
            and where the mesh does not let it be set.
        ports: The ports that it serves.
        calls: Whether it calls others; otherwise its data plane needs no configuration for them.
        grace: Seconds for which its application goes on after it has been asked to end, on platforms that ask.
        starts_within: Seconds in which a cluster has to start it, before the timeout scale.
        replica: The number of the endpoint behind the service, from 1.
        replicas: The number of endpoints of the service.
        replaceable: Whether its data plane has to be replaceable, which some meshes must know at its start.
        job: Whether its application ends by itself, once it is told to (``Platform.finish``).
        first_call: What its application calls when it starts; ``Workload.first_exchange`` returns how that went.
        placement: The node that it has to run on, where the platform has nodes; None for any.
        template: Its pods, if it stands in for a workload of a user's; None for those of the suite.
    """

    namespace: str
    name: str
    enrolment: Enrolment = Enrolment.ENROLLED
    leaf_lifetime: float | None = None
    renewed_after: float | None = None
    ports: tuple[Port, ...] = PORTS
    calls: bool = True
    grace: float = 1.0
    starts_within: float = STARTS_WITHIN
    replica: int = 1
    replicas: int = 1
    replaceable: bool = False
    job: bool = False
    first_call: FirstCall | None = None
    placement: Placement | None = None
    template: Template | None = None

    @property
    def service_account(self) -> str:
        """The service account, which has the name of the workload unless a template names it."""
        return self.template.service_account if self.template else self.name

    @property
    def service(self) -> tuple[str, str]:
        """Namespace and name of its service, which replicas share."""
        return self.namespace, self.name

    @property
    def authority(self) -> str:
        """The host name that clients use."""
        return f"{self.name}.{self.namespace}"

    def port(self, name: str) -> Port:
        """The port with this name; a KeyError lists the declared ones."""
        return self.ports[self.position(name)]

    def position(self, name: str) -> int:
        """The index of the port with this name; a KeyError lists the declared ones."""
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
"""The address that a client dials to reach a server's port: (client, server, port name, via) -> address."""
