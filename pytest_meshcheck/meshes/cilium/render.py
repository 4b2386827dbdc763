"""Policies in the resources that Cilium takes; pure.

Retries and timeouts are HTTPRoutes whose parent is the service: Gateway API's mesh profile, GAMMA.
https://docs.cilium.io/en/stable/network/servicemesh/gateway-api/gamma/
https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from collections.abc import Sequence
from typing import Any

from pytest_meshcheck.meshes.kubernetes.http_routes import duration, routes_of, service_of, shown
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
    Failure,
    Mode,
    MutualTls,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    about_service,
)
from pytest_meshcheck.platforms.base import Manifest

ROUTES = "https://gateway-api.sigs.k8s.io/reference/spec/#httprouteretry"
GAMMA = "https://docs.cilium.io/en/stable/network/servicemesh/gateway-api/gamma/"
ALWAYS_RETRIED = frozenset({Failure.CONNECT, Failure.RESET, Failure.REFUSED_STREAM})
"""What any ``retry`` covers besides its codes; there is no way to leave it out.
https://github.com/cilium/cilium/pull/46433"""

STATUSES = range(400, 600)
"""What ``codes`` may list: https://gateway-api.sigs.k8s.io/reference/spec/#httprouteretrystatuscode"""


def routes(policies: Sequence[Policy]) -> list[Manifest]:
    """For each service that a policy is about an HTTPRoute per port, as the route of one port cannot lead to another.

    Raises:
        Unsupported: HTTPRoute has no field for it.
    """
    return [route for about in about_service(policies).values() for route in routes_of(service_of(about), _rule(about))]


def refuse_mutual_tls(policies: Sequence[Policy], why: str, source: str, *, permissive: bool = False) -> None:
    """Cilium has no resource that says whom to let in by TLS.

    Args:
        policies: All that are in force.
        why: What it has instead.
        source: Where that is documented.
        permissive: Whether permissive mutual TLS is what it does by itself.

    Raises:
        Unsupported: One of them says more than that.
    """
    by_itself = {None, Mode.PERMISSIVE} if permissive else {None}
    for policy in policies:
        if isinstance(policy, MutualTls):
            asked = [mode for mode in (policy.mode, *policy.ports.values()) if mode not in by_itself]
            if asked:
                raise Unsupported(f"Cilium cannot be set to {asked[0]}: {why} ({source})")


def _rule(about: Sequence[Policy]) -> dict[str, Any]:
    """What one rule says of all requests to a service; a header of the answer shows that Envoy goes by it."""
    rule = shown(about)
    timeouts = {}
    for policy in about:
        match policy:
            case RequestsPerConnection():
                raise Unsupported(f"HTTPRoute does not bound how long connections are reused ({GAMMA})")
            case Timeout(request=seconds):
                timeouts["request"] = duration(seconds)
            case Retry():
                rule |= _retry(policy)
                if policy.per_try is not None:
                    timeouts["backendRequest"] = duration(policy.per_try)
    return rule | ({"timeouts": timeouts} if timeouts else {})


def _retry(policy: Retry) -> dict[str, Any]:
    """``attempts`` are retries on top of the first attempt, as ours are; without ``retry`` there are none."""
    if foreign := policy.on - ALWAYS_RETRIED - {Failure.STATUS}:
        raise Unsupported(f"HTTPRoute retries by HTTP status, not on {min(foreign)} ({ROUTES})")
    if foreign_codes := [code for code in sorted(policy.statuses) if code not in STATUSES]:
        raise Unsupported(f"HTTPRoute retries on statuses from 400 to 599, not on {foreign_codes[0]} ({ROUTES})")
    if policy.attempts == 0:
        return {}
    codes = {"codes": sorted(policy.statuses)} if policy.statuses else {}
    return {"retry": {"attempts": policy.attempts} | codes}
