"""Policies in Istio's resources; pure.

https://istio.io/latest/docs/reference/config/security/peer_authentication/
https://istio.io/latest/docs/reference/config/networking/virtual-service/
https://istio.io/latest/docs/reference/config/networking/destination-rule/
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_meshcheck.model.policy import (
    MARK,
    Failure,
    Mode,
    MutualTls,
    Named,
    Namespace,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    WholeMesh,
    about_service,
    mark,
)
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.manifests import WORKLOAD, port_number

ROOT_NAMESPACE = "istio-system"
NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"
NAME = "meshcheck"

MODES = {Mode.PERMISSIVE: "PERMISSIVE", Mode.STRICT: "STRICT", None: "UNSET"}

CONDITIONS: Mapping[Failure, str] = {
    Failure.CONNECT: "connect-failure",
    Failure.RESET: "reset",
    Failure.REFUSED_STREAM: "refused-stream",
    Failure.GRPC_CANCELLED: "cancelled",
    Failure.GRPC_DEADLINE_EXCEEDED: "deadline-exceeded",
    Failure.GRPC_INTERNAL: "internal",
    Failure.GRPC_RESOURCE_EXHAUSTED: "resource-exhausted",
    Failure.GRPC_UNAVAILABLE: "unavailable",
}
"""Failures as ``retryOn`` names them; statuses are listed by their numbers."""


def mutual_tls(policies: Sequence[Policy]) -> list[Manifest]:
    """A PeerAuthentication for each policy that says anything."""
    return [
        peer_authentication(one)
        for one in policies
        if isinstance(one, MutualTls) and (one.mode is not None or one.ports)
    ]


def peer_authentication(policy: MutualTls) -> Manifest:
    """Port numbers are those of the workload, and hold only where workloads are selected."""
    spec: dict[str, Any] = {"mtls": {"mode": MODES[policy.mode]}}
    match policy.target:
        case WholeMesh():
            return _manifest(SECURITY, "PeerAuthentication", ROOT_NAMESPACE, NAME, spec)
        case Namespace(namespace):
            return _manifest(SECURITY, "PeerAuthentication", namespace, NAME, spec)
        case target:
            spec["selector"] = {"matchLabels": {WORKLOAD: target.name}}
            if policy.ports:
                numbers = {str(port_number(spec_of(target), name)): mode for name, mode in policy.ports.items()}
                spec["portLevelMtls"] = {number: {"mode": MODES[mode]} for number, mode in numbers.items()}
            return _manifest(SECURITY, "PeerAuthentication", target.namespace, f"{NAME}-{target.name}", spec)


def traffic(policies: Sequence[Policy]) -> list[Manifest]:
    """For each service a VirtualService with its retries and its timeout, and a DestinationRule if one is needed."""
    rendered = []
    for about in about_service(policies).values():
        rendered += [destination_rule(one) for one in about if isinstance(one, RequestsPerConnection)]
        rendered.append(virtual_service(about))
    return rendered


def virtual_service(about: Sequence[Policy]) -> Manifest:
    """One route for all requests to a service; a header of the answer shows that a sidecar goes by it."""
    target = _service(about)
    route: dict[str, Any] = {
        "route": [{"destination": {"host": host(target)}}],
        "headers": {"response": {"set": {MARK: mark(about)}}},
    }
    for policy in about:
        if isinstance(policy, Retry):
            route["retries"] = retries(policy)
        elif isinstance(policy, Timeout) and policy.request:
            route["timeout"] = duration(policy.request)  # left out it is off, and 0s is refused
    spec = {"hosts": [host(target)], "http": [route]}
    return _manifest(NETWORKING, "VirtualService", target.namespace, f"{NAME}-{target.name}", spec)


def retries(policy: Retry) -> dict[str, Any]:
    """``attempts`` are retries on top of the first attempt, as ours are; 0 turns them off."""
    if policy.attempts == 0:
        return {"attempts": 0}
    conditions = sorted(CONDITIONS[failure] for failure in policy.on - {Failure.STATUS})
    on = [*map(str, sorted(policy.statuses)), *conditions]
    rendered: dict[str, Any] = {"attempts": policy.attempts, "retryOn": ",".join(on)}
    if policy.per_try is not None:
        rendered["perTryTimeout"] = duration(policy.per_try)
    return rendered


def destination_rule(policy: RequestsPerConnection) -> Manifest:
    """How often a connection between sidecars is used."""
    pool = {"http": {"maxRequestsPerConnection": policy.limit}}
    spec = {"host": host(policy.target), "trafficPolicy": {"connectionPool": pool}}
    return _manifest(NETWORKING, "DestinationRule", policy.target.namespace, f"{NAME}-{policy.target.name}", spec)


def host(target: Named) -> str:
    """The full name of a service."""
    return f"{target.name}.{target.namespace}.svc.cluster.local"


def duration(seconds: float) -> str:
    """As Istio writes it: whole milliseconds."""
    return f"{round(seconds * 1000)}ms"


def _service(about: Sequence[Policy]) -> Named:
    (target, *_) = [policy.target for policy in about if not isinstance(policy, MutualTls)]
    return target


def _manifest(version: str, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Manifest:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
