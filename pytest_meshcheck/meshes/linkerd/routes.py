"""Retries and timeouts as annotations of the routes to a service; pure.

Both kinds of policy share a route, so there is one route per port of a service that has such a policy.

https://linkerd.io/2-edge/reference/retries/
https://linkerd.io/2-edge/reference/timeouts/
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.kubernetes.http_routes import request_timeout
from pytest_meshcheck.meshes.linkerd.sources import LOAD_BALANCING, RETRIES, TIMEOUTS
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.observation import Protocol
from pytest_meshcheck.model.policy import (
    MARK,
    Failure,
    FieldTimeout,
    Policy,
    RequestsPerConnection,
    Retry,
    ServicePolicy,
    Timeout,
    about_service,
    mark,
)
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.model.workload_spec import Port, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number

GRPC_CONDITIONS: Mapping[Failure, str] = {
    Failure.GRPC_CANCELLED: "cancelled",
    Failure.GRPC_DEADLINE_EXCEEDED: "deadline-exceeded",
    Failure.GRPC_INTERNAL: "internal",
    Failure.GRPC_RESOURCE_EXHAUSTED: "resource-exhausted",
    Failure.GRPC_UNAVAILABLE: "unavailable",
}

RETRIED = frozenset({Failure.STATUS, Failure.REFUSED_STREAM, *GRPC_CONDITIONS})
"""The failures that can be retried without retrying others. A refused stream is retried with any of them."""


@dataclass(frozen=True)
class Route:
    """A kind of route, and the annotation for the retry conditions that it knows."""

    kind: str
    conditions: str


HTTP_ROUTE = Route("HTTPRoute", "retry.linkerd.io/http")
GRPC_ROUTE = Route("GRPCRoute", "retry.linkerd.io/grpc")
ROUTES = {Protocol.HTTP1: HTTP_ROUTE, Protocol.H2C: HTTP_ROUTE, Protocol.GRPC: GRPC_ROUTE}
"""By what a port speaks; Linkerd takes all else for opaque, where no route acts."""


def routes(policies: Sequence[Policy]) -> list[Manifest]:
    """The routes of every service that has a policy.

    Raises:
        Unsupported: Linkerd cannot express one of the policies.
    """
    return [
        _route(target, port, ROUTES[port.protocol], about)
        for about in about_service(policies).values()
        for target in [spec_of(about[0].target)]
        for port in target.ports
        if port.protocol in ROUTES
    ]


def _route(target: WorkloadSpec, port: Port, route: Route, about: Sequence[ServicePolicy]) -> Manifest:
    """A route that adds the mark to requests: a GRPCRoute of Linkerd does not change responses."""
    number = port_number(target, port.name)
    header = {"name": MARK, "value": mark(about)}
    rule = {
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [header]}}],
        "backendRefs": [{"name": target.name, "port": number}],
        **_fields(route, about),
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": route.kind,
        "metadata": {
            "namespace": target.namespace,
            "name": f"{target.name}.{port.name}",
            "annotations": _annotations(route, about),
        },
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": target.name, "port": number}],
            "rules": [rule],
        },
    }


def _fields(route: Route, about: Sequence[ServicePolicy]) -> dict[str, Any]:
    """The fields of a rule: only an HTTPRoute has one for a limit."""
    limits = [policy for policy in about if isinstance(policy, FieldTimeout) and route is HTTP_ROUTE]
    return request_timeout(limits[-1]) if limits else {}


def _annotations(route: Route, about: Sequence[ServicePolicy]) -> dict[str, str]:
    found: dict[str, str] = {}
    for policy in about:
        found |= rendering(ANNOTATED, policy, "Linkerd")(route, policy)
    return found


def _timeout(_: Route, policy: Timeout) -> dict[str, str]:
    return {"timeout.linkerd.io/request": _duration(policy.request)}


def _field_timeout(route: Route, policy: FieldTimeout) -> dict[str, str]:
    return {} if route is HTTP_ROUTE else _timeout(route, policy)


def _refuse_connection_limit(_: Route, __: RequestsPerConnection) -> dict[str, str]:
    raise Unsupported(f"the reuse of connections cannot be bounded ({LOAD_BALANCING})")


def _retries(route: Route, policy: Retry) -> dict[str, str]:
    if others := policy.on - RETRIED:
        raise Unsupported(f"{min(others)} cannot be listed for retries, only statuses can ({RETRIES})")
    conditions = _conditions(route, policy)
    if not policy.attempts or not (conditions or Failure.REFUSED_STREAM in policy.on):
        return {}
    found = {"retry.linkerd.io/limit": str(policy.attempts)}
    if conditions:
        found[route.conditions] = ",".join(conditions)
    if policy.per_try is not None:
        found["retry.linkerd.io/timeout"] = _duration(policy.per_try)
    return found


ANNOTATED: Mapping[type[ServicePolicy], Callable[[Route, Any], dict[str, str]]] = {
    Retry: _retries,
    Timeout: _timeout,
    FieldTimeout: _field_timeout,
    RequestsPerConnection: _refuse_connection_limit,
}
"""The annotations of a route for each kind of policy."""


def _conditions(route: Route, policy: Retry) -> list[str]:
    """The conditions for this kind of route; Linkerd would ignore all of them if they contained a blank."""
    if route is GRPC_ROUTE:
        return sorted(GRPC_CONDITIONS[failure] for failure in policy.on & GRPC_CONDITIONS.keys())
    return [str(status) for status in sorted(policy.statuses)]


def _duration(seconds: float) -> str:
    """A duration in whole milliseconds, as Linkerd accepts no fractions such as 0.5s."""
    milliseconds = round(seconds * 1000)
    if not math.isclose(milliseconds, seconds * 1000):
        raise Unsupported(f"{seconds} s is not a whole number of milliseconds ({TIMEOUTS})")
    return f"{milliseconds}ms"
