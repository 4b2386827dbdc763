"""What the embedded mesh claims and promises, with the sources in Envoy's documentation."""

from collections.abc import Mapping

from pytest_meshcheck.meshes.documented import (
    Default,
    Documented,
    LifecyclePromises,
    MtlsPromises,
    OutagePromises,
    RetryPromises,
    RotationPromises,
    TimeoutPromises,
    for_each_method,
)
from pytest_meshcheck.meshes.envoy.certificates import SHORTEST_LIFETIME
from pytest_meshcheck.meshes.envoy.xds.routes import RETRY_BODY_LIMIT
from pytest_meshcheck.meshes.envoy_retries import CONDITIONS, GRPC_STATUSES, STATUSES
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.policy import Failure

DOCS = "https://www.envoyproxy.io/docs/envoy/latest"
TLS = f"{DOCS}/intro/arch_overview/security/ssl"
TLS_API = f"{DOCS}/api-v3/extensions/transport_sockets/tls/v3/common.proto"
ROUTER = f"{DOCS}/configuration/http/http_filters/router_filter"
ROUTE_API = f"{DOCS}/api-v3/config/route/v3/route_components.proto"
RETRY_PLUGINS = f"{DOCS}/intro/arch_overview/http/http_connection_management#retry-plugin-configuration"
CIRCUIT_BREAKERS = f"{DOCS}/api-v3/config/cluster/v3/circuit_breaker.proto"
GRPC_SERVICE = f"{DOCS}/api-v3/config/core/v3/grpc_service.proto"
SDS = f"{DOCS}/configuration/security/secret"
TIMEOUTS = f"{DOCS}/faq/configuration/timeouts"
XFCC = f"{DOCS}/configuration/http/http_conn_man/headers#x-forwarded-client-cert"
RESPONSE_FLAGS = f"{DOCS}/configuration/observability/access_log/usage"
GRPC_MAPPING = "https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md"
LOCAL_REPLY = f"{DOCS}/configuration/http/http_conn_man/local_reply"

SUPPORTED: Mapping[Capability, str] = {
    Capability.MTLS: TLS,
    Capability.STRICT_MTLS: f"{DOCS}/configuration/listeners/listener_filters/tls_inspector",
    Capability.PERMISSIVE_MTLS: f"{DOCS}/configuration/listeners/listener_filters/tls_inspector",
    Capability.PERMISSIVE_SERVER_FIRST: f"{DOCS}/configuration/listeners/listener_filters/tls_inspector",
    Capability.PORT_LEVEL_MTLS: f"{DOCS}/configuration/listeners/listener_filters/tls_inspector",
    Capability.CONFIDENTIALITY: TLS,
    Capability.CUSTOM_AUTHORITY: SDS,
    Capability.SERVER_IDENTITY: TLS_API,
    Capability.REQUIRED_MTLS: f"{DOCS}/api-v3/config/cluster/v3/cluster.proto",
    Capability.PEER_IDENTITY: XFCC,
    Capability.SPIFFE: f"{DOCS}/intro/arch_overview/security/ssl",
    Capability.RETRY: ROUTER,
    Capability.RETRY_GRPC: ROUTER,
    Capability.RETRY_BUDGET: CIRCUIT_BREAKERS,
    Capability.PER_TRY_TIMEOUT: ROUTE_API,
    Capability.TIMEOUT: TIMEOUTS,
    Capability.TIMEOUT_GRPC: LOCAL_REPLY,
    Capability.CONNECTION_REUSE: f"{DOCS}/api-v3/config/core/v3/protocol.proto",
    Capability.LEAF_ROTATION: SDS,
    Capability.ISSUER_ROTATION: SDS,
    Capability.ROOT_ROTATION: SDS,
    Capability.CA_OUTAGE: SDS,
    Capability.CONTROL_PLANE_OUTAGE: f"{DOCS}/intro/arch_overview/operations/dynamic_configuration",
    Capability.PROXY_RESTART: f"{DOCS}/intro/arch_overview/operations/init",
    Capability.PROXY_REPLACEMENT: f"{DOCS}/intro/arch_overview/operations/hot_restart",
    Capability.UPGRADE: f"{DOCS}/intro/arch_overview/operations/hot_restart",
}

CLAIMS: Mapping[Capability, Claim] = {capability: Claim(True, source) for capability, source in SUPPORTED.items()} | {
    **dict.fromkeys(
        (
            Capability.KUBERNETES,
            Capability.NETWORK_POLICY,
            Capability.NODE_ENCRYPTION,
            Capability.MUTUAL_AUTHENTICATION,
        ),
        Claim(False, DOCS, "the embedded mesh runs as local processes"),
    ),
}

DOCUMENTED = Documented(
    mtls=MtlsPromises(
        plaintext_refused_as=frozenset({Ending.RESET, Ending.CLOSED}),
        peer_refused_as=frozenset({Ending.ALERT, Ending.RESET, Ending.CLOSED}),
        upstream_refused_statuses=frozenset({503}),
        connects_early=True,
        sources={
            "plaintext_refused_as": f"{DOCS}/configuration/listeners/stats",
            "peer_refused_as": TLS,
            "upstream_refused_statuses": f"{DOCS}/configuration/observability/access_log/usage",
            "upstream_refused_grpc_statuses": GRPC_MAPPING,
            "connects_early": f"{DOCS}/configuration/listeners/network_filters/tcp_proxy_filter",
        },
    ),
    timeout=TimeoutPromises(
        status=504,
        grpc_status=4,
        default=None,
        refused_status=503,
        refused_http2_status=503,
        refused_grpc_status=14,
        sources={
            "status": TIMEOUTS,
            "grpc_status": LOCAL_REPLY,
            "default": ROUTE_API,
            "caller_deadline": ROUTE_API,
            "stream_idle": TIMEOUTS,
            "idle": TIMEOUTS,
            "refused_status": RESPONSE_FLAGS,
            "refused_http2_status": RESPONSE_FLAGS,
            "refused_grpc_status": GRPC_MAPPING,
            "no_endpoint_statuses": RESPONSE_FLAGS,
            "no_endpoint_grpc_statuses": GRPC_MAPPING,
        },
    ),
    retry=RetryPromises(
        statuses=STATUSES,
        failures=frozenset(CONDITIONS),
        status_in_trailers=False,
        default_attempts=(
            *for_each_method(Failure.STATUS, 1, STATUSES),
            *for_each_method(Failure.RESET, 1),
            *for_each_method(Failure.REFUSED_STREAM, 1),
            *(Default("gRPC", failure, status, 1) for failure, status in GRPC_STATUSES.items()),
        ),
        body_limit=RETRY_BODY_LIMIT,
        http2_body_limit=RETRY_BODY_LIMIT,
        unfinished_retried=True,
        elsewhere=True,
        sources={
            "statuses": ROUTER,
            "failures": ROUTER,
            "status_in_trailers": f"{ROUTER}#x-envoy-retry-grpc-on",
            "default_attempts": ROUTER,
            "body_limit": ROUTE_API,
            "http2_body_limit": ROUTE_API,
            "unfinished_retried": f"{DOCS}/version_history/v1.15/v1.15.0",
            "overdue_retried": f"{ROUTER}#x-envoy-retry-on",
            "unsafe_retried": ROUTER,
            "elsewhere": RETRY_PLUGINS,
            "attempt_header": f"{ROUTER}#x-envoy-attempt-count",
            "budget_percent": CIRCUIT_BREAKERS,
            "budget_least": CIRCUIT_BREAKERS,
        },
    ),
    rotation=RotationPromises(
        leaf_lifetime=SHORTEST_LIFETIME,
        leaf_renewed_within=2.0,
        issuer_acts_within=1.0,
        roots_act_within=1.0,
        sources={"leaf_renewed_within": SDS, "issuer_acts_within": SDS, "roots_act_within": SDS},
    ),
    outage=OutagePromises(
        leaf_lifetime=10.0,
        renewal_due=0.5,
        heals_within=1.0,
        reconnects_within=1.0,
        sources={"leaf_lifetime": SDS, "renewal_due": SDS, "heals_within": SDS, "reconnects_within": GRPC_SERVICE},
    ),
    lifecycle=LifecyclePromises(
        job_ends_within=1.0,
        sources={
            "application_waits": f"{DOCS}/intro/arch_overview/operations/init",
            "job_ends_within": f"{DOCS}/intro/arch_overview/operations/draining",
        },
    ),
)
