"""Capabilities of a mesh. A mesh claims them, a check needs them, a run observes them."""

import enum
from dataclasses import dataclass


class Capability(enum.StrEnum):
    """One ability of a mesh; the text under each is what claiming it promises."""

    MTLS = "mtls"
    """Connections between enrolled workloads are mutually authenticated TLS."""
    STRICT_MTLS = "strict-mtls"
    """A workload can be set to refuse everything but mutual TLS."""
    PERMISSIVE_MTLS = "permissive-mtls"
    """A workload can be set to accept mutual TLS and plaintext side by side."""
    PERMISSIVE_SERVER_FIRST = "permissive-server-first"
    """Permissive mutual TLS serves plaintext also where the server speaks first."""
    PORT_LEVEL_MTLS = "port-level-mtls"
    """Strictness can be set per port."""
    CONFIDENTIALITY = "confidentiality"
    """What is sent between enrolled workloads cannot be read on the network between them."""
    CUSTOM_AUTHORITY = "custom-authority"
    """The mesh takes its certificates from an authority that the suite holds, so that hostile peers can be minted."""
    SERVER_IDENTITY = "server-identity"
    """A client's data plane checks which service it talks to."""
    PEER_IDENTITY = "peer-identity"
    """A server receives the verified identity of its caller."""
    SPIFFE = "spiffe"
    """Workload certificates are X.509-SVIDs: a SPIFFE ID is their one URI SAN."""
    RETRY = "retry"
    """Failed HTTP requests can be retried by policy."""
    RETRY_GRPC = "retry-grpc"
    """Failed gRPC calls can be retried by policy, by gRPC status."""
    PER_TRY_TIMEOUT = "per-try-timeout"
    """Each attempt can be given a time limit of its own."""
    TIMEOUT = "timeout"
    """A whole HTTP request can be given a time limit."""
    TIMEOUT_GRPC = "timeout-grpc"
    """A whole gRPC call can be given a time limit."""
    CONNECTION_REUSE = "connection-reuse"
    """How long connections between data planes are reused can be bounded."""
    LEAF_ROTATION = "leaf-rotation"
    """Workload certificates are renewed before they expire, without a restart."""
    ISSUER_ROTATION = "issuer-rotation"
    """The issuing certificate can be replaced under the same root."""
    ROOT_ROTATION = "root-rotation"
    """Roots can be added, and then removed, without a break."""
    CA_OUTAGE = "ca-outage"
    """The authority can be stopped and started while workloads run."""
    PROXY_RESTART = "proxy-restart"
    """One workload's data plane can be restarted."""
    UPGRADE = "upgrade"
    """The mesh can be moved to another version in place while workloads talk to each other."""
    KUBERNETES = "kubernetes"
    """The mesh runs on Kubernetes."""


@dataclass(frozen=True)
class Claim:
    """What a mesh says of one capability.

    Attributes:
        supported: Whether the mesh claims it.
        source: Where the mesh's own documentation says so; a URL.
        note: Why not, or under which condition.
        since: First version that has it; empty for every version.
        until: First version that no longer has it.
    """

    supported: bool
    source: str
    note: str = ""
    since: str = ""
    until: str = ""
