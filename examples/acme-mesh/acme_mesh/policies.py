"""acme's policy language: ``AcmePeering`` for access to workloads, ``AcmeTraffic`` for calls to services."""

from collections.abc import Callable, Mapping
from typing import Any

from acme_mesh.claims import PEERING, RETRIABLE, TRAFFIC
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
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
)
from pytest_meshcheck.platforms.base import Manifest

EVERY = "*"
"""Stands for all namespaces, or for all workloads."""

ACCEPTS: Mapping[Mode, list[str]] = {Mode.STRICT: ["mtls"], Mode.PERMISSIVE: ["mtls", "plaintext"]}

AGAIN_ON: Mapping[Failure, str] = {
    Failure.CONNECT: "no-connection",
    Failure.RESET: "broken-connection",
    Failure.REFUSED_STREAM: "refused-stream",
    Failure.GRPC_CANCELLED: "grpc:1",
    Failure.GRPC_DEADLINE_EXCEEDED: "grpc:4",
    Failure.GRPC_RESOURCE_EXHAUSTED: "grpc:8",
    Failure.GRPC_INTERNAL: "grpc:13",
    Failure.GRPC_UNAVAILABLE: "grpc:14",
}


def render(policy: Policy) -> list[Manifest]:
    """A policy in acme's resources.

    Raises:
        Unsupported: acme cannot express it.
    """
    return rendering(RENDERED, policy, "acme")(policy)


def peering(policy: MutualTls) -> list[Manifest]:
    """Access to a workload. An inherited mode needs no resource."""
    if policy.ports:
        raise Unsupported(f"an AcmePeering cannot distinguish ports ({PEERING}#limits)")
    if policy.mode is None:
        return []
    namespace, name = scope(policy.target)
    metadata = {"namespace": namespace, "name": name}
    return [{"kind": "AcmePeering", "metadata": metadata, "spec": {"accepts": ACCEPTS[policy.mode]}}]


def tries(policy: Retry) -> list[Manifest]:
    """The number of attempts; acme counts the first one as well."""
    if foreign := policy.statuses - set(RETRIABLE):
        raise Unsupported(f"acme does not retry on status {min(foreign)} ({TRAFFIC}#again-on)")
    again = sorted(map(str, policy.statuses)) + sorted(AGAIN_ON[failure] for failure in policy.on - {Failure.STATUS})
    spec: dict[str, Any] = {"tries": policy.attempts + 1, "againOn": again}
    if policy.per_try is not None:
        spec["eachWithin"] = milliseconds(policy.per_try)
    return traffic(policy.target, "tries", spec)


def deadline(policy: Timeout) -> list[Manifest]:
    """The time limit of a request."""
    return traffic(policy.target, "deadline", {"within": milliseconds(policy.request)})


def connections(policy: RequestsPerConnection) -> list[Manifest]:
    """The number of requests per connection."""
    return traffic(policy.target, "connections", {"requestsPerConnection": policy.limit})


RENDERED: Mapping[type[Policy], Callable[[Any], list[Manifest]]] = {
    MutualTls: peering,
    Retry: tries,
    Timeout: deadline,
    RequestsPerConnection: connections,
}


def traffic(target: Named, aspect: str, spec: Mapping[str, Any]) -> list[Manifest]:
    """A resource for one aspect of calls to a service."""
    metadata = {"namespace": target.namespace, "name": f"{target.name}.{aspect}"}
    return [{"kind": "AcmeTraffic", "metadata": metadata, "spec": {"service": target.name, **spec}}]


def scope(target: Named | Namespace | WholeMesh) -> tuple[str, str]:
    """Namespace and workload of a peering."""
    match target:
        case WholeMesh():
            return EVERY, EVERY
        case Namespace(namespace):
            return namespace, EVERY
        case _:
            return target.namespace, target.name


def milliseconds(seconds: float) -> str:
    """A duration in acme's format: whole milliseconds, such as ``250ms``; 0 is no limit."""
    return f"{round(seconds * 1000)}ms"
