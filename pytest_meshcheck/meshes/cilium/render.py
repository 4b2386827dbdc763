"""Policies as resources of Cilium; pure.

Retries and timeouts are HTTPRoutes whose parent is the service: Gateway API's mesh profile, GAMMA. Who may connect is
for NetworkPolicies.
https://docs.cilium.io/en/stable/network/servicemesh/gateway-api/gamma/
https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.kubernetes.http_routes import (
    Parts,
    attempt_timeout,
    request_timeout,
    retry_on_statuses,
    routes_of,
    rule_of,
)
from pytest_meshcheck.meshes.kubernetes.network_policies import NAMESPACE, egress_policy, network_policy
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
    EgressPolicy,
    Failure,
    Mode,
    MutualTls,
    NetworkPolicy,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    WorkloadPolicy,
    about_service,
    about_workloads,
)
from pytest_meshcheck.platforms.base import Manifest

ROUTES = "https://gateway-api.sigs.k8s.io/reference/spec/#httprouteretry"
GAMMA = "https://docs.cilium.io/en/stable/network/servicemesh/gateway-api/gamma/"
ALWAYS_RETRIED = frozenset({Failure.CONNECT, Failure.RESET, Failure.REFUSED_STREAM})
"""The failures that every ``retry`` covers in addition to its codes; they cannot be excluded.
https://github.com/cilium/cilium/pull/46433"""

STATUSES = range(400, 600)
"""The valid values of ``codes``: https://gateway-api.sigs.k8s.io/reference/spec/#httprouteretrystatuscode"""


def routes(policies: Sequence[Policy]) -> list[Manifest]:
    """An HTTPRoute per port for each service that has a policy, as the route of one port cannot lead to another.

    Raises:
        Unsupported: HTTPRoute has no field for it.
    """
    return [
        route
        for about in about_service(policies).values()
        for route in routes_of(about[0].target, rule_of(about, PARTS, "Cilium"))
    ]


@dataclass(frozen=True)
class Strictness:
    """What a variant of Cilium cannot be set to.

    Attributes:
        why: The reason, for the message.
        source: The documentation of the reason; a URL.
        permissive: Whether it behaves like permissive mutual TLS without any resource.
        authenticates: Whether the agents authenticate the callers that a network policy lists.
    """

    why: str
    source: str
    permissive: bool = False
    authenticates: bool = False


def access(policies: Sequence[Policy], strictness: Strictness) -> list[Manifest]:
    """The resources of policies about workloads: network policies alone, as Cilium has none for mutual TLS.

    Raises:
        Unsupported: A policy asks for more.
    """
    return [
        made for policy in about_workloads(policies) for made in rendering(ACCESS, policy, "Cilium")(policy, strictness)
    ]


def _refuse_modes(policy: MutualTls, strictness: Strictness) -> list[Manifest]:
    by_itself = {None, Mode.PERMISSIVE} if strictness.permissive else {None}
    asked = [mode for mode in (policy.mode, *policy.ports.values()) if mode not in by_itself]
    if asked:
        raise Unsupported(f"Cilium cannot be set to {asked[0]}: {strictness.why} ({strictness.source})")
    return []


def _network_policy(policy: NetworkPolicy, strictness: Strictness) -> list[Manifest]:
    made = network_policy(policy)
    return [_authenticating(made) if strictness.authenticates else made]


def _authenticating(policy: Manifest) -> Manifest:
    """A NetworkPolicy as a CiliumNetworkPolicy, which also drops packets until agents have authenticated the caller.

    https://docs.cilium.io/en/stable/network/servicemesh/mutual-authentication/mutual-authentication/
    """
    rules = [
        {
            "fromEndpoints": [_endpoint(peer) for peer in rule["from"]],
            "toPorts": [{"ports": [{**one, "port": str(one["port"])} for one in rule["ports"]]}],
            "authentication": {"mode": "required"},
        }
        for rule in policy["spec"]["ingress"]
    ]
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": policy["metadata"],
        "spec": {"endpointSelector": policy["spec"]["podSelector"], "ingress": rules or [{}]},
    }


def _endpoint(peer: Manifest) -> Manifest:
    labels, namespace = peer["podSelector"]["matchLabels"], peer["namespaceSelector"]["matchLabels"][NAMESPACE]
    return {"matchLabels": {**labels, "k8s:io.kubernetes.pod.namespace": namespace}}


def _egress_policy(policy: EgressPolicy, _strictness: Strictness) -> list[Manifest]:
    return [egress_policy(policy)]


ACCESS: Mapping[type[WorkloadPolicy], Callable[[Any, Strictness], list[Manifest]]] = {
    MutualTls: _refuse_modes,
    NetworkPolicy: _network_policy,
    EgressPolicy: _egress_policy,
}


def _refuse_connection_limit(_: RequestsPerConnection) -> dict[str, Any]:
    raise Unsupported(f"HTTPRoute does not bound how long connections are reused ({GAMMA})")


def _retry(policy: Retry) -> dict[str, Any]:
    """``attempts`` are retries on top of the first attempt, as ours are; without ``retry`` there are none."""
    rendered = retry_on_statuses(policy, ALWAYS_RETRIED, ROUTES)
    if foreign_codes := [code for code in sorted(policy.statuses) if code not in STATUSES]:
        raise Unsupported(f"HTTPRoute retries on statuses from 400 to 599, not on {foreign_codes[0]} ({ROUTES})")
    return rendered if policy.attempts else attempt_timeout(policy)


PARTS: Parts = {
    Retry: _retry,
    Timeout: request_timeout,
    RequestsPerConnection: _refuse_connection_limit,
}
