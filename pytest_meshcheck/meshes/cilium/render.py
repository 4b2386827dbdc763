"""Policies as resources of Cilium; pure.

Retries and timeouts are HTTPRoutes whose parent is the service: Gateway API's mesh profile, GAMMA.
https://docs.cilium.io/en/stable/network/servicemesh/gateway-api/gamma/
https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_meshcheck.meshes.kubernetes.http_routes import (
    Parts,
    attempt_timeout,
    request_timeout,
    retry_on_statuses,
    routes_of,
    rule_of,
)
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
    Failure,
    Mode,
    MutualTls,
    Policy,
    RequestsPerConnection,
    Retry,
    ServerPolicy,
    Timeout,
    about_service,
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


def refuse_access(policies: Sequence[Policy], why: str, source: str, *, permissive: bool = False) -> None:
    """Refuse server-side policies: Cilium has no resource for them.

    Args:
        policies: All applied policies.
        why: The reason, for the message.
        source: The documentation of the reason; a URL.
        permissive: Whether the mesh behaves like permissive mutual TLS without any resource.

    Raises:
        Unsupported: A policy asks for more.
    """
    by_itself = {None, Mode.PERMISSIVE} if permissive else {None}
    for policy in policies:
        if isinstance(policy, ServerPolicy):
            asked = [mode for mode in rendering(MODES, policy, "Cilium")(policy) if mode not in by_itself]
            if asked:
                raise Unsupported(f"Cilium cannot be set to {asked[0]}: {why} ({source})")


def _modes(policy: MutualTls) -> list[Mode | None]:
    return [policy.mode, *policy.ports.values()]


MODES: Mapping[type[ServerPolicy], Callable[[Any], list[Mode | None]]] = {MutualTls: _modes}
"""The modes that a policy asks for."""


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
