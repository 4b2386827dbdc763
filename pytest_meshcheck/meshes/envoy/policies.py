"""The embedded mesh's own resources: rendering policies, and looking up those that apply to a workload."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_meshcheck.meshes.envoy.sidecar_config import Retries, RetryShare
from pytest_meshcheck.meshes.envoy_retries import CONDITIONS
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.policy import (
    Failure,
    FieldTimeout,
    Mode,
    MutualTls,
    Named,
    Namespace,
    Policy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    RetryBudget,
    Timeout,
    WholeMesh,
    about_service,
    mark,
)
from pytest_meshcheck.platforms.base import Manifest

EVERY = "*"
"""Stands for all namespaces, or for all names."""

DEFAULT_MODE = Mode.PERMISSIVE


def render(policy: Policy) -> Manifest:
    """A policy as a resource: plain data for JSON.

    Raises:
        Unsupported: The embedded mesh has no resource for its kind.
    """
    return rendering(RENDERED, policy, "the embedded mesh")(policy)


def marks(policies: Sequence[Policy]) -> list[Manifest]:
    """A resource for each service with policies: what answers from it show of them."""
    return [_manifest("Mark", about[0].target, {"mark": mark(about)}) for about in about_service(policies).values()]


def _mutual_tls(policy: MutualTls) -> Manifest:
    modes = {name: str(policy.ports[name]) for name in sorted(policy.ports)}
    return _manifest("MutualTls", policy.target, {"mode": policy.mode and str(policy.mode), "ports": modes})


def _retry(policy: Retry) -> Manifest:
    spec = {
        "attempts": policy.attempts,
        "statuses": sorted(policy.statuses),
        "on": sorted(str(failure) for failure in policy.on - {Failure.STATUS}),
        "perTry": policy.per_try,
    }
    return _manifest("Retry", policy.target, spec)


def _retry_budget(policy: RetryBudget) -> Manifest:
    return _manifest("RetryBudget", policy.target, {"percent": policy.percent})


def _timeout(policy: Timeout) -> Manifest:
    return _manifest("Timeout", policy.target, {"request": policy.request})


def _connection_pool(policy: RequestsPerConnection) -> Manifest:
    return _manifest("ConnectionPool", policy.target, {"requestsPerConnection": policy.limit})


def _required_mutual_tls(policy: RequireMutualTls) -> Manifest:
    """Nothing has to obey it: the cluster of a service whose first endpoint is enrolled knows no plaintext."""
    return _manifest("RequiredMutualTls", policy.target, {})


RENDERED: Mapping[type[Policy], Callable[[Any], Manifest]] = {
    MutualTls: _mutual_tls,
    Retry: _retry,
    RetryBudget: _retry_budget,
    Timeout: _timeout,
    FieldTimeout: _timeout,
    RequestsPerConnection: _connection_pool,
    RequireMutualTls: _required_mutual_tls,
}


class PolicySet:
    """The applied resources, with lookups for one workload or service."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._specs: dict[tuple[str, str, str], Mapping[str, Any]] = {
            (manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]): manifest["spec"]
            for manifest in manifests
        }

    def mode(self, namespace: str, name: str, port: str) -> Mode:
        """The mode of one port; the narrower scope wins."""
        return next(iter(self.modes(namespace, name, port)), DEFAULT_MODE)

    def modes(self, namespace: str, name: str, port: str) -> list[Mode]:
        """The modes that are set for one port, that of the narrowest scope first: port, workload, namespace, mesh."""
        scopes = ((namespace, name), (namespace, EVERY), (EVERY, EVERY))
        specs = [spec for spec in (self._specs.get(("MutualTls", *scope)) for scope in scopes) if spec is not None]
        return [Mode(mode) for spec in specs for mode in (spec["ports"].get(port), spec["mode"]) if mode is not None]

    def retries(self, namespace: str, name: str) -> Retries | None:
        """The retries of a service; None without retries."""
        spec = self._specs.get(("Retry", namespace, name))
        if spec is None or spec["attempts"] == 0:
            return None
        conditions = tuple(CONDITIONS[Failure(failure)] for failure in spec["on"])
        return Retries(spec["attempts"], tuple(spec["statuses"]), conditions, spec["perTry"])

    def retry_budget(self, namespace: str, name: str) -> RetryShare | None:
        """The retry budget of a service; None for no limit."""
        spec = self._specs.get(("RetryBudget", namespace, name))
        return RetryShare(spec["percent"]) if spec is not None else None

    def timeout(self, namespace: str, name: str) -> float:
        """The time limit of a request to a service, in seconds; 0 for no limit."""
        spec = self._specs.get(("Timeout", namespace, name))
        return float(spec["request"]) if spec is not None else 0.0

    def requests_per_connection(self, namespace: str, name: str) -> int | None:
        """The number of requests after which a connection to a service is closed; None for no limit."""
        spec = self._specs.get(("ConnectionPool", namespace, name))
        return int(spec["requestsPerConnection"]) if spec is not None else None

    def mark(self, namespace: str, name: str) -> str:
        """What answers from a service show of its policies; empty for nothing."""
        spec = self._specs.get(("Mark", namespace, name))
        return str(spec["mark"]) if spec is not None else ""


def _manifest(kind: str, target: Named | Namespace | WholeMesh, spec: Mapping[str, Any]) -> Manifest:
    match target:
        case WholeMesh():
            namespace, name = EVERY, EVERY
        case Namespace(namespace):
            name = EVERY
        case _:
            namespace, name = target.namespace, target.name
    return {"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec}
