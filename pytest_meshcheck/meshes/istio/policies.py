"""Policies as resources of Istio; pure.

https://istio.io/latest/docs/reference/config/security/peer_authentication/
https://istio.io/latest/docs/reference/config/networking/virtual-service/
https://istio.io/latest/docs/reference/config/networking/destination-rule/
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_meshcheck.meshes.envoy_retries import CONDITIONS
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.policy import (
    MARK,
    Failure,
    Mode,
    MutualTls,
    Named,
    Namespace,
    Policy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    RetryBudget,
    ServicePolicy,
    Timeout,
    WholeMesh,
    WorkloadPolicy,
    about_service,
    about_workloads,
    mark,
)
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import WORKLOAD
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number

ROOT_NAMESPACE = "istio-system"
NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"
NAME = "meshcheck"

MODES = {Mode.PERMISSIVE: "PERMISSIVE", Mode.STRICT: "STRICT", None: "UNSET"}


WIDE: Manifest = {
    "apiVersion": SECURITY,
    "kind": "PeerAuthentication",
    "metadata": {"namespace": ROOT_NAMESPACE, "name": NAME},
}
"""The mesh-wide policy, the only one outside the namespaces of a run."""


def access(policies: Sequence[Policy]) -> list[Manifest]:
    """The resources for policies about workloads.

    Raises:
        Unsupported: Istio has no resource for one of the policies.
    """
    return [manifest for policy in about_workloads(policies) for manifest in rendering(ACCESS, policy, "Istio")(policy)]


def peer_authentication(policy: MutualTls) -> list[Manifest]:
    """A PeerAuthentication; ports are those of the workload, and need a workload selector."""
    if policy.mode is None and not policy.ports:
        return []
    spec: dict[str, Any] = {"mtls": {"mode": MODES[policy.mode]}}
    match policy.target:
        case WholeMesh():
            return [{**WIDE, "spec": spec}]
        case Namespace(namespace):
            return [_manifest(SECURITY, "PeerAuthentication", namespace, NAME, spec)]
        case target:
            spec["selector"] = {"matchLabels": {WORKLOAD: target.name}}
            if policy.ports:
                numbers = {str(port_number(spec_of(target), name)): mode for name, mode in policy.ports.items()}
                spec["portLevelMtls"] = {number: {"mode": MODES[mode]} for number, mode in numbers.items()}
            return [_manifest(SECURITY, "PeerAuthentication", target.namespace, f"{NAME}-{target.name}", spec)]


ACCESS: Mapping[type[WorkloadPolicy], Callable[[Any], list[Manifest]]] = {MutualTls: peer_authentication}


def traffic(policies: Sequence[Policy]) -> list[Manifest]:
    """A VirtualService per service with its retries and timeout, and a DestinationRule if needed.

    Raises:
        Unsupported: Istio has no field for one of the policies.
    """
    rendered = []
    for about in about_service(policies).values():
        rendered += [*destination_rules(about), virtual_service(about)]
    return rendered


def virtual_service(about: Sequence[ServicePolicy]) -> Manifest:
    """One route for all requests to a service; a response header shows that a sidecar uses it."""
    target = about[0].target
    route: dict[str, Any] = {
        "route": [{"destination": {"host": host(target)}}],
        "headers": {"response": {"set": {MARK: mark(about)}}},
    }
    for policy in about:
        route |= rendering(ROUTED, policy, "Istio")(policy)
    spec = {"hosts": [host(target)], "http": [route]}
    return _manifest(NETWORKING, "VirtualService", target.namespace, f"{NAME}-{target.name}", spec)


def retries(policy: Retry) -> dict[str, Any]:
    """``attempts`` are retries on top of the first attempt, as ours are; 0 turns them off."""
    if policy.attempts == 0:
        return {"retries": {"attempts": 0}}
    conditions = sorted(CONDITIONS[failure] for failure in policy.on - {Failure.STATUS})
    on = [*map(str, sorted(policy.statuses)), *conditions]
    rendered: dict[str, Any] = {"attempts": policy.attempts, "retryOn": ",".join(on)}
    if policy.per_try is not None:
        rendered["perTryTimeout"] = duration(policy.per_try)
    return {"retries": rendered}


def timeout(policy: Timeout) -> dict[str, Any]:
    """The timeout; Istio rejects 0s, and has none by default."""
    return {"timeout": duration(policy.request)} if policy.request else {}


def in_destination_rule(policy: ServicePolicy) -> dict[str, Any]:
    """Nothing in the route: the policy belongs to the DestinationRule."""
    return {}


ROUTED: Mapping[type[ServicePolicy], Callable[[Any], dict[str, Any]]] = {
    Retry: retries,
    Timeout: timeout,
    RequestsPerConnection: in_destination_rule,
    RequireMutualTls: in_destination_rule,
    RetryBudget: in_destination_rule,
}
"""The fields of a route for each kind of policy."""


def connection_pool(policy: RequestsPerConnection) -> dict[str, Any]:
    """The number of requests per connection between sidecars."""
    return {"connectionPool": {"http": {"maxRequestsPerConnection": policy.limit}}}


def retry_budget(policy: RetryBudget) -> dict[str, Any]:
    """The share of requests that may be retries; what is not named has Istio's default."""
    return {"retryBudget": {} if policy.percent is None else {"percent": policy.percent}}


def mutual_tls_alone(_: RequireMutualTls) -> dict[str, Any]:
    """Mutual TLS to every endpoint; without this, endpoints without a sidecar are called in plaintext."""
    return {"tls": {"mode": "ISTIO_MUTUAL"}}


AGREED: Mapping[type[ServicePolicy], Callable[[Any], dict[str, Any]]] = {
    RequestsPerConnection: connection_pool,
    RetryBudget: retry_budget,
    RequireMutualTls: mutual_tls_alone,
}
"""The fields of a DestinationRule's traffic policy for each kind of policy that has some."""


def destination_rules(about: Sequence[ServicePolicy]) -> list[Manifest]:
    """The DestinationRule of a service, if one of its policies belongs there."""
    target, fields = about[0].target, [AGREED[type(one)](one) for one in about if type(one) in AGREED]
    if not fields:
        return []
    spec = {"host": host(target), "trafficPolicy": {name: value for one in fields for name, value in one.items()}}
    return [_manifest(NETWORKING, "DestinationRule", target.namespace, f"{NAME}-{target.name}", spec)]


def host(target: Named) -> str:
    """The full name of a service."""
    return f"{target.name}.{target.namespace}.svc.cluster.local"


def duration(seconds: float) -> str:
    """A duration in Istio's format, in whole milliseconds."""
    return f"{round(seconds * 1000)}ms"


def _manifest(version: str, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
