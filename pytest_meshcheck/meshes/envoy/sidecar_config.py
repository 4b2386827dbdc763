"""Everything that the configuration of one sidecar is made from; equal views have equal configurations."""

from dataclasses import dataclass

from pytest_meshcheck.model.policy import Mode
from pytest_meshcheck.model.workload_spec import Address, Port
from pytest_meshcheck.probe.protocol.messages import Credentials


@dataclass(frozen=True)
class Retries:
    """How an outbound route retries.

    Attributes:
        attempts: Retries on top of the first attempt, at least 1.
        statuses: HTTP statuses that are retried.
        conditions: Envoy's names of the other conditions that are retried.
        per_try: Seconds for one attempt; None for no limit.
    """

    attempts: int
    statuses: tuple[int, ...] = ()
    conditions: tuple[str, ...] = ()
    per_try: float | None = None


@dataclass(frozen=True)
class Inbound:
    """One declared port of the workload itself."""

    port: Port
    listen: Address
    application: Address
    mode: Mode


@dataclass(frozen=True)
class Service:
    """One port of a service, as every caller sees it.

    Attributes:
        name: ``name.namespace``, also the SNI.
        port: The declared port.
        identity: What the server's certificate must say; None for a server outside of the mesh.
        retries: None where nothing is retried.
        timeout: Seconds for a request; 0 for no limit.
        requests_per_connection: None for no limit.
    """

    name: str
    port: Port
    identity: str | None
    retries: Retries | None = None
    timeout: float = 0.0
    requests_per_connection: int | None = None

    @property
    def resource(self) -> str:
        """The name of its listener, cluster and route configuration."""
        return f"outbound.{self.name}.{self.port.name}"


@dataclass(frozen=True)
class Outbound:
    """One port of a service that the workload can call.

    Attributes:
        service: What is called.
        listen: Where the workload dials.
        endpoints: Where its servers are.
    """

    service: Service
    listen: Address
    endpoints: tuple[Address, ...]


@dataclass(frozen=True)
class View:
    """What one sidecar has to know.

    Attributes:
        workload: ``namespace/name``.
        trust_domain: Whose members are let in.
        credentials: The workload's own certificate.
        roots: The announced roots as PEM.
        inbound: The workload's own ports.
        outbound: What it can call.
    """

    workload: str
    trust_domain: str
    credentials: Credentials
    roots: bytes
    inbound: tuple[Inbound, ...]
    outbound: tuple[Outbound, ...]
