"""What Linkerd claims and promises, with the sources."""

from collections.abc import Mapping

from pytest_meshcheck.meshes.documented import (
    Default,
    Documented,
    IdentityPromises,
    LifecyclePromises,
    MtlsPromises,
    NetworkPromises,
    OutagePromises,
    RetryPromises,
    RotationPromises,
    TimeoutPromises,
    for_each_method,
)
from pytest_meshcheck.meshes.kubernetes.network_policies import LEFT_TO_THE_NETWORK
from pytest_meshcheck.meshes.linkerd import sources as at
from pytest_meshcheck.meshes.linkerd.routes import GRPC_CONDITIONS, RETRIED
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.observation import Answered, Ending, Form
from pytest_meshcheck.model.policy import Failure

ANNOTATIONS_SINCE = "edge-24.7.5"
"""From when retries and timeouts are annotations; before they were part of a ServiceProfile."""

LEAF_LIFETIME = 10.0
CLOCK_SKEW = 10.0
"""Seconds. The control plane adds the skew at both ends, and takes 0 for 10 s."""

RENEWED_AT = 0.7
"""Part of what is left of a certificate's life after which it is renewed."""

LEAST_REFRESH = 10.0
"""Seconds that pass at least between two attempts to renew a certificate, even if the first one has failed."""

SLOW = 3.0
"""Seconds that issuing may take."""

CLAIMS: Mapping[Capability, Claim] = {
    Capability.MTLS: Claim(True, at.MTLS),
    Capability.STRICT_MTLS: Claim(True, at.AUTHORIZATION),
    Capability.PERMISSIVE_MTLS: Claim(True, at.AUTHORIZATION),
    Capability.PORT_LEVEL_MTLS: Claim(True, at.AUTHORIZATION),
    Capability.CONFIDENTIALITY: Claim(True, at.MTLS),
    Capability.CUSTOM_AUTHORITY: Claim(True, at.CERTIFICATES),
    Capability.SERVER_IDENTITY: Claim(True, at.MTLS),
    Capability.REQUIRED_MTLS: Claim(False, at.DOWNGRADE, "endpoints without an identity are called in plaintext"),
    Capability.PEER_IDENTITY: Claim(True, at.CLIENT_ID),
    Capability.SPIFFE: Claim(False, at.MTLS, "identities are DNS names, as <account>.<namespace>.serviceaccount"),
    Capability.RETRY: Claim(True, at.RETRIES, since=ANNOTATIONS_SINCE),
    Capability.RETRY_GRPC: Claim(True, at.RETRIES, since=ANNOTATIONS_SINCE),
    Capability.RETRY_BUDGET: Claim(
        False, at.RETRIES, "a request has a limit of retries; a budget belongs to a ServiceProfile, which has no other"
    ),
    Capability.PER_TRY_TIMEOUT: Claim(True, at.RETRIES, "except for the last attempt", since=ANNOTATIONS_SINCE),
    Capability.TIMEOUT: Claim(True, at.TIMEOUTS, since=ANNOTATIONS_SINCE),
    Capability.TIMEOUT_GRPC: Claim(True, at.TIMEOUTS, since=ANNOTATIONS_SINCE),
    Capability.CONNECTION_REUSE: Claim(False, at.LOAD_BALANCING, "proxies keep their connections as long as they can"),
    Capability.LEAF_ROTATION: Claim(True, at.MTLS),
    Capability.ISSUER_ROTATION: Claim(True, at.ROTATION),
    Capability.ROOT_ROTATION: Claim(
        True, at.ANCHOR_ROTATION, "every workload is restarted twice: a proxy learns of roots when it starts"
    ),
    Capability.CA_OUTAGE: Claim(True, at.ARCHITECTURE),
    Capability.CONTROL_PLANE_OUTAGE: Claim(True, at.DISCOVERY_CACHE),
    Capability.PROXY_REPLACEMENT: Claim(False, at.PROXY, "a proxy lives as long as its pod, and is replaced with it"),
    Capability.PERMISSIVE_SERVER_FIRST: Claim(True, at.OPAQUE, "where the port is declared opaque, as it is here"),
    Capability.UPGRADE: Claim(True, at.UPGRADE),
    Capability.PROXY_RESTART: Claim(True, at.RESTARTED),
    Capability.KUBERNETES: Claim(True, at.INSTALL),
    **LEFT_TO_THE_NETWORK,
}

STATUSES = (408, 409, 425, 429, 500, 501, 502, 503, 504)

REFUSED: frozenset[Form] = frozenset({Ending.RESET, Ending.CLOSED, Answered(403), Answered(grpc_status=7)})
"""HTTP and gRPC callers get an error, others lose their connection. A TLS handshake alone is never refused for lack of
a certificate: that is for the policy to judge."""

DOCUMENTED = Documented(
    mtls=MtlsPromises(
        plaintext_refused_as=REFUSED,
        peer_refused_as=REFUSED | {Ending.ALERT},
        silent_refused_as=frozenset({Ending.RESET, Ending.CLOSED}),
        upstream_refused_statuses=frozenset({503, 504}),
        tls_on_opaque_ports=False,
        sources={
            "plaintext_refused_as": at.ERRORS,
            "peer_refused_as": at.ERRORS,
            "silent_refused_as": at.OPAQUE,
            "upstream_refused_statuses": at.OUTBOUND_ERRORS,
            "upstream_refused_grpc_statuses": at.ERRORS,
            "tls_on_opaque_ports": at.DIRECT,
        },
    ),
    identity=IdentityPromises(
        headers=("l5d-client-id",),
        obeyed=frozenset({"l5d-require-id"}),
        sources={"headers": at.CLIENT_ID, "obeyed": at.REQUIRE_ID},
    ),
    timeout=TimeoutPromises(
        status=504,
        grpc_status=4,
        default=None,
        refused_status=502,
        refused_http2_status=504,  # connections of HTTP/2 are dialled again, until the queue before them fails fast
        refused_grpc_status=4,
        no_endpoint_statuses=frozenset({503, 504}),
        no_endpoint_grpc_statuses=frozenset({14, 4}),
        in_field=True,
        sources={
            "status": at.CUT,
            "grpc_status": at.ERRORS,
            "default": at.TIMEOUTS,
            "caller_deadline": at.TIMEOUTS,
            "stream_idle": at.STREAM_IDLE,
            "idle": at.IDLE,
            "refused_status": at.ERRORS,
            "refused_http2_status": at.INBOUND_ERRORS,
            "refused_grpc_status": at.INBOUND_ERRORS,
            "in_field": at.TIMEOUTS,
            "no_endpoint_statuses": at.OUTBOUND_ERRORS,
            "no_endpoint_grpc_statuses": at.OUTBOUND_ERRORS,
        },
    ),
    retry=RetryPromises(
        statuses=STATUSES,
        failures=RETRIED - {Failure.STATUS},
        status_in_trailers=True,
        default_attempts=(
            *for_each_method(Failure.STATUS, 1, STATUSES),
            *for_each_method(Failure.RESET, 1),
            *(Default("gRPC", failure, 0, 1) for failure in GRPC_CONDITIONS),
        ),
        body_limit=64 * 1024,
        http2_body_limit=64 * 1024,
        sources={
            "statuses": at.RETRIES,
            "failures": at.RETRY_CODE,
            "status_in_trailers": at.RETRY_CODE,
            "default_attempts": at.RETRIES,
            "body_limit": at.RETRIES,
            "http2_body_limit": at.RETRIES,
            "unfinished_retried": at.REPLAY,
            "overdue_retried": at.RETRIES,
            "unsafe_retried": at.RETRY_CODE,
            "elsewhere": at.RETRIES,
            "attempt_header": at.RETRIES,
        },
    ),
    rotation=RotationPromises(
        leaf_lifetime=LEAF_LIFETIME,
        leaf_renewed_within=RENEWED_AT * (LEAF_LIFETIME + CLOCK_SKEW) + SLOW,
        issuer_acts_within=RENEWED_AT * (LEAF_LIFETIME + CLOCK_SKEW) + 2 * SLOW,
        roots_act_within=RENEWED_AT * (LEAF_LIFETIME + CLOCK_SKEW) + 2 * SLOW,
        roots_reach_running=False,
        sources={
            "leaf_lifetime": at.ISSUED,
            "leaf_renewed_within": at.REFRESH,
            "issuer_acts_within": at.ROTATION,
            "roots_act_within": at.REFRESH,
            "roots_reach_running": at.ANCHOR_ROTATION,
        },
    ),
    outage=OutagePromises(
        leaf_lifetime=0.0,
        renewal_due=RENEWED_AT * (LEAF_LIFETIME + CLOCK_SKEW),
        heals_within=LEAST_REFRESH + SLOW,
        reconnects_within=30.0,
        sources={
            "leaf_lifetime": at.REFRESH,
            "renewal_due": at.REFRESH,
            "heals_within": at.REFRESH,
            "reconnects_within": at.DISCOVERY_CACHE,
        },
    ),
    lifecycle=LifecyclePromises(sources={"application_waits": at.PROXY, "job_ends_within": at.NATIVE}),
    network=NetworkPromises(inbound_port=4143, sources={"inbound_port": at.NETWORK_POLICY}),
    policies_act_within=30.0,
    sources={"policies_act_within": at.PROPAGATION},
)
