"""The input of a sidecar's configuration, independent of Envoy's API; equal inputs give equal configurations."""

from dataclasses import dataclass

from pytest_meshcheck.model.policy import Mode
from pytest_meshcheck.model.workload_spec import Address, Port
from pytest_meshcheck.probe.protocol.messages import Credentials


@dataclass(frozen=True)
class Retries:
    """How an outbound route retries.

    Attributes:
        attempts: Retries on top of the first attempt, at least 1.
        statuses: The HTTP statuses to retry.
        conditions: The other retry conditions, in Envoy's names.
        per_try: Time limit of one attempt in seconds; None for no limit.
    """

    attempts: int
    statuses: tuple[int, ...] = ()
    conditions: tuple[str, ...] = ()
    per_try: float | None = None


@dataclass(frozen=True)
class RetryShare:
    """The bound of all retries to a service.

    Attributes:
        percent: Retries in flight as a percentage of requests in flight; None for Envoy's default.
    """

    percent: float | None


@dataclass(frozen=True)
class Inbound:
    """One declared port of the workload itself."""

    port: Port
    listen: Address
    application: Address
    mode: Mode


@dataclass(frozen=True)
class Service:
    """One port of a service, the same for every caller.

    Attributes:
        name: ``name.namespace``, also the SNI.
        port: The declared port.
        identity: The required identity of the server; None for a server outside the mesh.
        retries: The retries; None without retries.
        retry_budget: The bound of all retries together; None for no limit.
        timeout: Time limit of a request in seconds; 0 for no limit.
        requests_per_connection: Maximum number of requests on one connection; None for no limit.
        mark: What answers show of its policies; empty for nothing.
    """

    name: str
    port: Port
    identity: str | None
    retries: Retries | None = None
    timeout: float = 0.0
    requests_per_connection: int | None = None
    retry_budget: RetryShare | None = None
    mark: str = ""

    @property
    def resource(self) -> str:
        """The name of its listener, cluster and route configuration."""
        return f"outbound.{self.name}.{self.port.name}"


@dataclass(frozen=True)
class Outbound:
    """One port of a service that the workload can call.

    Attributes:
        service: The service.
        listen: The address that the workload dials.
        endpoints: The addresses of the servers.
    """

    service: Service
    listen: Address
    endpoints: tuple[Address, ...]


@dataclass(frozen=True)
class SidecarConfig:
    """The configuration of one sidecar.

    Attributes:
        workload: ``namespace/name``.
        trust_domain: The trust domain whose members are admitted.
        credentials: The workload's own certificate.
        roots: The announced roots as PEM.
        inbound: The ports of the workload.
        outbound: The ports of services that it can call.
    """

    workload: str
    trust_domain: str
    credentials: Credentials
    roots: bytes
    inbound: tuple[Inbound, ...]
    outbound: tuple[Outbound, ...]
