"""What Cilium claims and promises, with the sources in its documentation.

Three things are called mutual TLS on Cilium, and are kept apart here. Encryption by WireGuard or IPsec is between
nodes. Mutual authentication by SPIRE is a handshake between agents, beside the connections that it is about. Only
ztunnel puts the connections of workloads into mutual TLS.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_meshcheck.meshes.cilium.render import ALWAYS_RETRIED, GAMMA, ROUTES
from pytest_meshcheck.meshes.cilium.settings import LINKERD_DOCS
from pytest_meshcheck.meshes.documented import (
    Documented,
    IdentityPromises,
    MtlsPromises,
    NetworkPromises,
    RetryPromises,
    TimeoutPromises,
)
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.policy import Failure

DOCS = "https://docs.cilium.io/en/stable"
WIREGUARD_TIMERS = "https://www.wireguard.com/papers/wireguard.pdf"
WIREGUARD = f"{DOCS}/security/network/encryption-wireguard/"
IPSEC = f"{DOCS}/security/network/encryption-ipsec/"
ZTUNNEL = f"{DOCS}/security/network/encryption-ztunnel/"
MUTUAL_AUTHENTICATION = f"{DOCS}/network/servicemesh/mutual-authentication/mutual-authentication/"
INSTALL = f"{DOCS}/installation/k8s-install-helm/"
UPGRADE = f"{DOCS}/operations/upgrade/"
POLICIES = f"{DOCS}/security/policy/kubernetes/"
ENFORCEMENT = f"{DOCS}/security/policy/intro/"
STREAM_IDLE = "https://github.com/cilium/cilium/issues/34582"
AGENT_OPTIONS = f"{DOCS}/cmdref/cilium-agent/"
ENVOY = f"{DOCS}/security/network/proxy/envoy/"
SPEC = "https://gateway-api.sigs.k8s.io/reference/spec"
REPORTS = "https://github.com/kubernetes-sigs/gateway-api/tree/main/conformance/reports"
INERT_RETRY = "https://github.com/cilium/cilium/issues/46432"
DEPRECATED = "https://github.com/cilium/cilium/issues/47132"
ZTUNNEL_TEST = "https://github.com/cilium/cilium/blob/v1.20.0/cilium-cli/connectivity/tests/ztunnel.go"
ZTUNNEL_AUTHORITY = "https://github.com/cilium/cilium/tree/v1.20.0/pkg/ztunnel"
ENVOY_EVENTUALLY = (
    "https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations"
)
ENVOY_ROUTES = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto"

FIRST_WITH_RETRY = "1.20.0"
FIRST_WITH_ZTUNNEL = "1.19.0"
FIRST_WITH_PLAINTEXT_TO_ZTUNNEL = "1.20.0"
FIRST_WITHOUT_MUTUAL_AUTHENTICATION = "1.21.0"

Claims = Mapping[Capability, Claim]

ROUTED: Claims = {
    Capability.RETRY: Claim(
        True, INERT_RETRY, "before 1.20 a retry of an HTTPRoute is accepted without effect", since=FIRST_WITH_RETRY
    ),
    Capability.RETRY_GRPC: Claim(
        False, f"{SPEC}/#grpcrouterule", "GRPCRoute has no retries, HTTPRoute no gRPC statuses"
    ),
    Capability.RETRY_BUDGET: Claim(False, GAMMA, "neither HTTPRoute nor GRPCRoute bounds the retries of all requests"),
    Capability.PER_TRY_TIMEOUT: Claim(
        True, REPORTS, "before 1.20 timeouts.backendRequest shortens the whole request", since=FIRST_WITH_RETRY
    ),
    Capability.TIMEOUT: Claim(True, GAMMA),
    Capability.TIMEOUT_GRPC: Claim(
        False, f"{SPEC}/#grpcrouterule", "GRPCRoute has no timeouts; that of an HTTPRoute is answered with HTTP 504"
    ),
}
"""What HTTPRoutes do; a service without one is not affected."""

UNROUTED: Claims = dict.fromkeys(
    ROUTED, Claim(False, f"{ZTUNNEL}#limitations", "what enrolled pods send is encrypted before Cilium's Envoy sees it")
)

SHARED: Claims = {
    Capability.NETWORK_POLICY: Claim(True, POLICIES),
    Capability.KUBERNETES: Claim(True, INSTALL),
    Capability.MUTUAL_AUTHENTICATION: Claim(False, MUTUAL_AUTHENTICATION, "that is what cilium-spire does"),
    Capability.CONNECTION_REUSE: Claim(False, GAMMA, "HTTPRoute does not bound how long connections are reused"),
    Capability.UPGRADE: Claim(
        True, f"{UPGRADE}#upgrade-impact", "connections through the proxy of a node are reset when it is upgraded"
    ),
    Capability.CONTROL_PLANE_OUTAGE: Claim(
        False, INSTALL, "the agent of a node is its network and control plane in one"
    ),
    Capability.PROXY_RESTART: Claim(
        True,
        f"{UPGRADE}#upgrade-impact",
        "the agent of a node; the programs that it has loaded run on without it",
    ),
    Capability.PROXY_REPLACEMENT: Claim(False, ENVOY, "one proxy serves all workloads of a node"),
}

CERTIFICATES = (
    Capability.CUSTOM_AUTHORITY,
    Capability.SERVER_IDENTITY,
    Capability.PEER_IDENTITY,
    Capability.SPIFFE,
    Capability.LEAF_ROTATION,
    Capability.ISSUER_ROTATION,
    Capability.ROOT_ROTATION,
    Capability.CA_OUTAGE,
)
MUTUAL_TLS = (
    Capability.MTLS,
    Capability.STRICT_MTLS,
    Capability.PERMISSIVE_MTLS,
    Capability.PERMISSIVE_SERVER_FIRST,
    Capability.PORT_LEVEL_MTLS,
    Capability.REQUIRED_MTLS,
)


def _without_mutual_tls(why: str, source: str, confidentiality: Claim, between_nodes: Claim) -> Claims:
    lacking = dict.fromkeys((*MUTUAL_TLS, *CERTIFICATES), Claim(False, source, why))
    encryption = {Capability.CONFIDENTIALITY: confidentiality, Capability.NODE_ENCRYPTION: between_nodes}
    return {**SHARED, **ROUTED, **lacking, **encryption}


NODES_ONLY = "encrypts traffic between nodes; between pods of one node, and on the nodes themselves, it is in the clear"

BETWEEN_NODES = {
    # way of encryption: why there is no mutual TLS, source
    "WireGuard": ("WireGuard authenticates nodes, by keys of their own; workloads have no certificates", WIREGUARD),
    "IPsec": ("IPsec authenticates nodes, by a key that they share; workloads have no certificates", IPSEC),
}


def _between_nodes(way: str) -> Claims:
    why, source = BETWEEN_NODES[way]
    return _without_mutual_tls(why, source, Claim(False, source, f"{way} {NODES_ONLY}"), Claim(True, source))


BY_WIREGUARD = _between_nodes("WireGuard")
BY_IPSEC = _between_nodes("IPsec")

OUT_OF_BAND = (
    "agents authenticate each other's workloads in a handshake of their own, whose connection they close; "
    "the connections of workloads carry no TLS, and what is not part of the mesh has an identity as well"
)
NOTHING = Claim(
    False, MUTUAL_AUTHENTICATION, "mutual authentication encrypts nothing; that is what cilium and cilium-ipsec do"
)
BY_SPIRE: Claims = {
    **_without_mutual_tls(OUT_OF_BAND, MUTUAL_AUTHENTICATION, NOTHING, NOTHING),
    Capability.MUTUAL_AUTHENTICATION: Claim(
        True, MUTUAL_AUTHENTICATION, "deprecated", until=FIRST_WITHOUT_MUTUAL_AUTHENTICATION
    ),
}

LINKERD_ENCRYPTS = Claim(False, LINKERD_DOCS, "Linkerd encrypts, and encryption by Cilium is off")
BELOW_LINKERD = _without_mutual_tls(
    "Linkerd is the mesh, Cilium the network below it", LINKERD_DOCS, LINKERD_ENCRYPTS, LINKERD_ENCRYPTS
)

NO_STRICT = "ztunnel is given an empty list of authorization policies, plaintext is always accepted"
OWN_AUTHORITY = "the agents are the authority; its root takes an RSA key, and is read once, when an agent starts"
THIRTY_DAYS = "the agents issue certificates for 30 days, which nothing can shorten"

BY_ZTUNNEL: Claims = {
    **SHARED,
    **UNROUTED,
    Capability.NETWORK_POLICY: Claim(
        False,
        f"{ZTUNNEL}#limitations",
        "of connections between enrolled pods, network policies see only the port of the tunnel",
    ),
    Capability.NODE_ENCRYPTION: Claim(False, ZTUNNEL, "ztunnel encrypts from pod to pod"),
    Capability.PROXY_RESTART: Claim(False, ZTUNNEL, "nothing is documented about a ztunnel that restarts"),
    Capability.UPGRADE: Claim(False, ZTUNNEL, "nothing is documented about a ztunnel that is upgraded"),
    Capability.MTLS: Claim(True, ZTUNNEL, "beta", since=FIRST_WITH_ZTUNNEL),
    Capability.CONFIDENTIALITY: Claim(True, ZTUNNEL, "TCP between enrolled pods; beta", since=FIRST_WITH_ZTUNNEL),
    Capability.PERMISSIVE_MTLS: Claim(
        True, ZTUNNEL_TEST, "this is the only mode", since=FIRST_WITH_PLAINTEXT_TO_ZTUNNEL
    ),
    Capability.PERMISSIVE_SERVER_FIRST: Claim(
        True, ZTUNNEL, "the port tells a tunnel from plaintext", since=FIRST_WITH_PLAINTEXT_TO_ZTUNNEL
    ),
    Capability.SPIFFE: Claim(True, ZTUNNEL_AUTHORITY, "beta", since=FIRST_WITH_ZTUNNEL),
    Capability.STRICT_MTLS: Claim(False, f"{ZTUNNEL}#limitations", NO_STRICT),
    Capability.PORT_LEVEL_MTLS: Claim(False, f"{ZTUNNEL}#limitations", "namespaces are enrolled, with all their ports"),
    Capability.SERVER_IDENTITY: Claim(
        False,
        f"{ZTUNNEL}#limitations",
        "enrolment is by namespace, nothing documents which identity a client expects",
    ),
    Capability.REQUIRED_MTLS: Claim(
        False, ZTUNNEL_TEST, "ztunnel calls pods of namespaces that are not enrolled in plaintext"
    ),
    Capability.PEER_IDENTITY: Claim(False, ZTUNNEL, "ztunnel works on layer 4, and passes on no identity"),
    Capability.CUSTOM_AUTHORITY: Claim(
        True, ZTUNNEL, "the root of the agents, from a Secret", since=FIRST_WITH_ZTUNNEL
    ),
    Capability.LEAF_ROTATION: Claim(False, ZTUNNEL, THIRTY_DAYS),
    Capability.ISSUER_ROTATION: Claim(False, ZTUNNEL, OWN_AUTHORITY),
    Capability.ROOT_ROTATION: Claim(False, ZTUNNEL, OWN_AUTHORITY),
    Capability.CA_OUTAGE: Claim(False, ZTUNNEL, "the agent of each node is its network and its authority in one"),
}

DOCUMENTED = Documented(
    mtls=MtlsPromises(
        plaintext_refused_as=frozenset(),
        silent_refused_as=frozenset(),
        peer_refused_as=frozenset({Ending.ALERT, Ending.RESET, Ending.CLOSED}),
        sources={
            "plaintext_refused_as": f"{ZTUNNEL}#limitations",
            "silent_refused_as": f"{ZTUNNEL}#limitations",
            "peer_refused_as": ZTUNNEL,
        },
    ),
    identity=IdentityPromises(headers=(), sources={"headers": ZTUNNEL}),
    timeout=TimeoutPromises(
        status=504,
        default=None,
        stream_idle=300.0,
        answers_unrouted=False,
        sources={
            "status": f"{SPEC}/#httproutetimeouts",
            "default": f"{SPEC}/#httproutetimeouts",
            "stream_idle": STREAM_IDLE,
            "answers_unrouted": GAMMA,
            "idle": AGENT_OPTIONS,
        },
    ),
    retry=RetryPromises(
        statuses=(408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 511),
        failures=frozenset({Failure.STATUS, *ALWAYS_RETRIED}),
        always_retried=ALWAYS_RETRIED,
        status_in_trailers=False,
        body_limit=1024 * 1024,
        unfinished_retried=True,
        sources={
            "statuses": ROUTES,
            "failures": "https://github.com/cilium/cilium/pull/46433",
            "always_retried": "https://github.com/cilium/cilium/pull/46433",
            "status_in_trailers": ROUTES,
            "default_attempts": f"{SPEC}/#httprouterule",
            "body_limit": ENVOY_ROUTES,
            "unfinished_retried": "https://www.envoyproxy.io/docs/envoy/latest/version_history/v1.15/v1.15.0",
            "unsafe_retried": ROUTES,
            "elsewhere": ROUTES,
            "attempt_header": ROUTES,
            "overdue_retried": "https://github.com/kubernetes-sigs/gateway-api/tree/main/conformance/reports",
        },
    ),
    network=NetworkPromises(
        session_keys_last=120.0, sources={"refused_as": ENFORCEMENT, "session_keys_last": WIREGUARD_TIMERS}
    ),
    answers_before_endpoints=True,
    policies_act_within=30.0,
    sources={
        "answers_before_endpoints": ENVOY_EVENTUALLY,
        "policies_act_within": "https://github.com/cilium/cilium/tree/v1.20.0/cilium-cli/connectivity/check",
    },
)


def _with_network(**promises: tuple[float | int, str]) -> Documented:
    """The same, with these promises of the network, each with its source."""
    sources = {"refused_as": ENFORCEMENT, **{name: source for name, (_, source) in promises.items()}}
    values: dict[str, Any] = {name: value for name, (value, _) in promises.items()}
    return replace(DOCUMENTED, network=NetworkPromises(**values, sources=sources))


OF_IPSEC = _with_network(session_keys_last=(0.0, f"{IPSEC}#key-rotation"))
"""Nodes share one key until an administrator replaces it."""
HBONE = 15008
OF_ZTUNNEL = _with_network(inbound_port=(HBONE, f"{ZTUNNEL}#limitations"))
"""Network policies see only the port of the tunnel."""


def in_version(claims: Claims, version: str) -> dict[Capability, Claim]:
    """What of the claims holds in a version; a release candidate counts as its release.

    Raises:
        ValueError: That is not a version.
    """
    return {capability: _in_version(claim, version) for capability, claim in claims.items()}


def is_in(version: str, since: str = "", until: str = "") -> bool:
    """Whether a version is in this range, whose upper end is not part of it; ValueError if that is not a version."""
    numbers = _numbers(version)
    return (not since or numbers >= _numbers(since)) and (not until or numbers < _numbers(until))


def _in_version(claim: Claim, version: str) -> Claim:
    if not claim.supported or is_in(version, claim.since, claim.until):
        return claim
    return replace(claim, supported=False)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise ValueError(f"{version!r} is not a Cilium version: valid is e.g. 1.20.0")
    return tuple(int(number or 0) for number in found.groups())
