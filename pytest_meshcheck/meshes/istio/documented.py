"""What Istio claims and promises, with the sources in its documentation."""

from collections.abc import Mapping

from pytest_meshcheck.meshes.documented import (
    Default,
    Documented,
    IdentityPromises,
    LifecyclePromises,
    MtlsPromises,
    OutagePromises,
    RetryPromises,
    RotationPromises,
    TimeoutPromises,
    for_each_method,
)
from pytest_meshcheck.meshes.envoy_retries import CONDITIONS, GRPC_STATUSES, STATUSES
from pytest_meshcheck.meshes.kubernetes.network_policies import LEFT_TO_THE_NETWORK
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.policy import Failure

DOCS = "https://istio.io/latest/docs"
PEER_AUTHENTICATION = f"{DOCS}/reference/config/security/peer_authentication"
SECURITY = f"{DOCS}/concepts/security"
VIRTUAL_SERVICE = f"{DOCS}/reference/config/networking/virtual-service"
DESTINATION_RULE = f"{DOCS}/reference/config/networking/destination-rule"
RETRY_BUDGET = f"{DESTINATION_RULE}/#TrafficPolicy-RetryBudget"
TRAFFIC = f"{DOCS}/concepts/traffic-management"
ARCHITECTURE = f"{DOCS}/ops/deployment/architecture/"
NATIVE = "https://istio.io/latest/blog/2023/native-sidecars/"
"""A sidecar that is an ordinary container keeps the pod of a job running."""
RESTARTED = "https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/"
MESH_CONFIG = f"{DOCS}/reference/config/istio.mesh.v1alpha1"
HOLDS = f"{MESH_CONFIG}/#ProxyConfig"
"""``holdApplicationUntilProxyStarts``, which is off by default, and which native sidecars do not need."""
PLUGGED = f"{DOCS}/tasks/security/cert-management/plugin-ca-cert"
AGENT = f"{DOCS}/reference/commands/pilot-agent"
DISCOVERY = f"{DOCS}/reference/commands/pilot-discovery"
ENVOY = "https://www.envoyproxy.io/docs/envoy/latest"
GRPC_MAPPING = "https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md"
ROUTER = f"{ENVOY}/configuration/http/http_filters/router_filter"

ROUTE_CODE = "https://github.com/istio/istio/blob/1.30.3/pilot/pkg/networking/core/route/route.go"

LEAF_LIFETIME = 16.0
"""Seconds; the agent renews at half of it, and knows no shortest lifetime."""

OUTLASTING = 120.0
"""Lifetime in seconds of a certificate that falls due after a quarter of it, and lasts until istiod is back."""

RECONNECTS = f"{ENVOY}/api-v3/config/core/v3/grpc_service.proto"
RECONNECTS_WITHIN = 35.0
"""Seconds: Envoy waits for up to 30 s before it asks its agent again, which then has to issue."""

SUPPORTED: Mapping[Capability, str] = {
    Capability.MTLS: SECURITY,
    Capability.STRICT_MTLS: PEER_AUTHENTICATION,
    Capability.PERMISSIVE_MTLS: PEER_AUTHENTICATION,
    Capability.PORT_LEVEL_MTLS: PEER_AUTHENTICATION,
    Capability.CONFIDENTIALITY: SECURITY,
    Capability.CUSTOM_AUTHORITY: PLUGGED,
    Capability.SERVER_IDENTITY: f"{SECURITY}/#secure-naming",
    Capability.REQUIRED_MTLS: f"{DESTINATION_RULE}/#ClientTLSSettings-TLSmode",
    Capability.PEER_IDENTITY: f"{ENVOY}/configuration/http/http_conn_man/headers#x-forwarded-client-cert",
    Capability.SPIFFE: f"{SECURITY}/#istio-identity",
    Capability.RETRY: VIRTUAL_SERVICE,
    Capability.RETRY_GRPC: VIRTUAL_SERVICE,
    Capability.RETRY_BUDGET: RETRY_BUDGET,
    Capability.PER_TRY_TIMEOUT: VIRTUAL_SERVICE,
    Capability.TIMEOUT: VIRTUAL_SERVICE,
    Capability.TIMEOUT_GRPC: VIRTUAL_SERVICE,
    Capability.CONNECTION_REUSE: DESTINATION_RULE,
    Capability.LEAF_ROTATION: AGENT,
    Capability.ISSUER_ROTATION: PLUGGED,
    Capability.ROOT_ROTATION: DISCOVERY,
    Capability.UPGRADE: f"{DOCS}/setup/upgrade/in-place/",
    Capability.KUBERNETES: f"{DOCS}/setup",
}

CLAIMS: Mapping[Capability, Claim] = {capability: Claim(True, source) for capability, source in SUPPORTED.items()} | {
    **LEFT_TO_THE_NETWORK,
    Capability.CA_OUTAGE: Claim(True, ARCHITECTURE, "istiod is configuration server and authority in one"),
    Capability.CONTROL_PLANE_OUTAGE: Claim(True, ARCHITECTURE),
    Capability.PROXY_REPLACEMENT: Claim(False, AGENT, "a sidecar lives as long as its pod, and is replaced with it"),
    Capability.PERMISSIVE_SERVER_FIRST: Claim(
        False,
        f"{DOCS}/ops/deployment/application-requirements/#server-first-protocols",
        "a permissive sidecar waits for the client's first bytes to tell TLS from plaintext",
    ),
    Capability.PROXY_RESTART: Claim(True, RESTARTED),
}

TWICE = 3
"""Attempts of what is retried by default: "retry twice before returning the error"."""

GRPC_RETRIED_BY_DEFAULT = frozenset({Failure.GRPC_CANCELLED, Failure.GRPC_UNAVAILABLE})

DOCUMENTED = Documented(
    mtls=MtlsPromises(
        plaintext_refused_as=frozenset({Ending.RESET, Ending.CLOSED}),
        silent_refused_as=frozenset({Ending.RESET, Ending.CLOSED, Ending.TIMED_OUT}),
        peer_refused_as=frozenset({Ending.ALERT, Ending.RESET, Ending.CLOSED}),
        upstream_refused_statuses=frozenset({503}),
        connects_early=True,
        sources={
            "plaintext_refused_as": PEER_AUTHENTICATION,
            "silent_refused_as": f"{DOCS}/ops/deployment/application-requirements/#server-first-protocols",
            "peer_refused_as": SECURITY,
            "upstream_refused_statuses": f"{SECURITY}/#secure-naming",
            "upstream_refused_grpc_statuses": GRPC_MAPPING,
            "connects_early": f"{ENVOY}/configuration/listeners/network_filters/tcp_proxy_filter",
        },
    ),
    identity=IdentityPromises(
        headers=("x-forwarded-client-cert",),
        obeyed=frozenset({"x-envoy-upstream-rq-timeout-ms"}),
        sent_outside=frozenset({"x-envoy-attempt-count", "x-envoy-upstream-service-time", "x-envoy-overloaded"}),
        sources={
            "headers": f"{ENVOY}/configuration/http/http_conn_man/headers#x-forwarded-client-cert",
            "obeyed": f"{DOCS}/tasks/traffic-management/request-timeouts/",
            "sent_outside": f"{MESH_CONFIG}/#ProxyConfig-ProxyHeaders",
        },
    ),
    timeout=TimeoutPromises(
        status=504,
        grpc_status=4,
        default=None,
        caller_deadline=True,
        idle=3600.0,
        sources={
            "status": VIRTUAL_SERVICE,
            "grpc_status": f"{ENVOY}/configuration/http/http_conn_man/local_reply",
            "default": f"{TRAFFIC}/#timeouts",
            "caller_deadline": ROUTE_CODE,
            "stream_idle": f"{TRAFFIC}/#timeouts",
            "idle": f"{DESTINATION_RULE}/#ConnectionPoolSettings-HTTPSettings",
            "refused_status": f"{ENVOY}/configuration/observability/access_log/usage",
            "refused_http2_status": f"{ENVOY}/configuration/observability/access_log/usage",
            "refused_grpc_status": "https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md",
            "no_endpoint_statuses": f"{ENVOY}/configuration/observability/access_log/usage",
            "no_endpoint_grpc_statuses": "https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md",
        },
    ),
    retry=RetryPromises(
        statuses=STATUSES,
        failures=frozenset(CONDITIONS),
        status_in_trailers=False,
        default_attempts=(
            *for_each_method(Failure.STATUS, 1, STATUSES),
            *for_each_method(Failure.RESET, 1),
            *for_each_method(Failure.REFUSED_STREAM, TWICE),
            *(
                Default("gRPC", failure, status, TWICE if failure in GRPC_RETRIED_BY_DEFAULT else 1)
                for failure, status in GRPC_STATUSES.items()
            ),
        ),
        body_limit=1024 * 1024,
        unfinished_retried=True,
        elsewhere=True,
        attempt_header="x-envoy-attempt-count",
        sources={
            "statuses": VIRTUAL_SERVICE,
            "failures": VIRTUAL_SERVICE,
            "status_in_trailers": f"{ROUTER}#x-envoy-retry-grpc-on",
            "default_attempts": f"{TRAFFIC}/#retries",
            "body_limit": f"{ENVOY}/api-v3/config/route/v3/route_components.proto",
            "unfinished_retried": f"{ENVOY}/version_history/v1.15/v1.15.0",
            "overdue_retried": f"{ROUTER}#x-envoy-retry-on",
            "unsafe_retried": ROUTER,
            "elsewhere": f"{VIRTUAL_SERVICE}/#HTTPRetry",
            "attempt_header": f"{MESH_CONFIG}/#ProxyConfig-ProxyHeaders",
            "budget_percent": RETRY_BUDGET,
            "budget_least": RETRY_BUDGET,
        },
    ),
    rotation=RotationPromises(
        leaf_lifetime=LEAF_LIFETIME,
        leaf_renewed_within=LEAF_LIFETIME * 0.75,
        issuer_acts_within=LEAF_LIFETIME * 0.75 + 5.0,
        roots_act_within=15.0,
        sources={
            "leaf_lifetime": AGENT,
            "leaf_renewed_within": AGENT,
            "issuer_acts_within": PLUGGED,
            "roots_act_within": DISCOVERY,
        },
    ),
    outage=OutagePromises(
        leaf_lifetime=OUTLASTING,
        renewal_due=OUTLASTING / 4,
        heals_within=RECONNECTS_WITHIN,
        reconnects_within=RECONNECTS_WITHIN,
        sources={
            "leaf_lifetime": AGENT,
            "renewal_due": AGENT,
            "heals_within": RECONNECTS,
            "reconnects_within": RECONNECTS,
        },
    ),
    lifecycle=LifecyclePromises(sources={"application_waits": HOLDS, "job_ends_within": NATIVE}),
    policies_act_within=10.0,
    sources={"policies_act_within": f"{DOCS}/ops/configuration/mesh/config-resource-ready"},
)
