"""Capabilities of a mesh. A mesh claims them, a check needs them, a run observes them."""

import enum
from dataclasses import dataclass


class Capability(enum.StrEnum):
    """One ability of a mesh; the text under each is the promise of a claim."""

    MTLS = "mtls"
    """Connections between enrolled workloads are mutually authenticated TLS."""
    STRICT_MTLS = "strict-mtls"
    """A workload can be set to refuse everything but mutual TLS."""
    PERMISSIVE_MTLS = "permissive-mtls"
    """A workload can be set to accept mutual TLS and plaintext side by side."""
    PERMISSIVE_SERVER_FIRST = "permissive-server-first"
    """Permissive mutual TLS accepts plaintext for server-first protocols, too."""
    PORT_LEVEL_MTLS = "port-level-mtls"
    """Strictness can be set per port."""
    CONFIDENTIALITY = "confidentiality"
    """Traffic between enrolled workloads cannot be read on the network between them."""
    NODE_ENCRYPTION = "node-encryption"
    """Traffic between pods on different nodes cannot be read on the network between the nodes."""
    NETWORK_POLICY = "network-policy"
    """Network policies decide at layers 3 and 4, by identity, who may connect to a workload."""
    MUTUAL_AUTHENTICATION = "mutual-authentication"
    """Traffic to a workload is dropped until the network has authenticated both workloads, beside their connections."""
    CUSTOM_AUTHORITY = "custom-authority"
    """The mesh takes its certificates from the suite's authority, which also issues certificates for hostile peers."""
    SERVER_IDENTITY = "server-identity"
    """A client's data plane verifies the identity of the service."""
    REQUIRED_MTLS = "required-mtls"
    """A client's data plane can be set to call no endpoint of a service in plaintext."""
    PEER_IDENTITY = "peer-identity"
    """A server receives the verified identity of its caller."""
    SPIFFE = "spiffe"
    """Workload certificates are X.509-SVIDs: a SPIFFE ID is their one URI SAN."""
    RETRY = "retry"
    """Failed HTTP requests can be retried by policy."""
    RETRY_GRPC = "retry-grpc"
    """Failed gRPC calls can be retried by policy, by gRPC status."""
    RETRY_BUDGET = "retry-budget"
    """The retries of all requests to a service can be bounded to a share of these requests."""
    PER_TRY_TIMEOUT = "per-try-timeout"
    """Each attempt can be given a time limit of its own."""
    TIMEOUT = "timeout"
    """A whole HTTP request can be given a time limit."""
    TIMEOUT_GRPC = "timeout-grpc"
    """A whole gRPC call can be given a time limit."""
    CONNECTION_REUSE = "connection-reuse"
    """The reuse of connections between data planes can be limited."""
    LEAF_ROTATION = "leaf-rotation"
    """Workload certificates are renewed before they expire, without a restart."""
    ISSUER_ROTATION = "issuer-rotation"
    """The issuing certificate can be replaced under the same root."""
    ROOT_ROTATION = "root-rotation"
    """Roots can be added, and then removed, without a break."""
    CA_OUTAGE = "ca-outage"
    """The authority can be stopped and started while workloads run."""
    CONTROL_PLANE_OUTAGE = "control-plane-outage"
    """The control plane can be stopped and started while workloads run."""
    PROXY_RESTART = "proxy-restart"
    """The data plane of a workload can be killed, and comes back by itself."""
    PROXY_REPLACEMENT = "proxy-replacement"
    """The data plane of a workload can be replaced by a new one, to which it hands over."""
    UPGRADE = "upgrade"
    """The mesh can be upgraded in place while workloads communicate."""
    KUBERNETES = "kubernetes"
    """The mesh runs on Kubernetes."""


@dataclass(frozen=True)
class Claim:
    """The claim of a mesh to one capability.

    Attributes:
        supported: Whether the mesh claims it.
        source: The mesh's own documentation; a URL.
        note: The reason if unsupported, otherwise the conditions.
        since: The first version with the capability; empty for every version.
        until: The first version without it.
    """

    supported: bool
    source: str
    note: str = ""
    since: str = ""
    until: str = ""

    @property
    def why(self) -> str:
        """The note, with its source if there is one."""
        return f"{self.note} ({self.source})" if self.source else self.note


NOT_CLAIMED = Claim(supported=False, source="", note="its adapter does not mention it")
"""The claim to a capability that an adapter leaves out."""
