"""HTTPRoutes with a service as parent: the Gateway API's mesh profile; pure.

https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from collections.abc import Callable, Mapping, Sequence, Set as AbstractSet
from typing import Any

from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import MARK, Failure, Named, Retry, ServicePolicy, Timeout, mark
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.model.workload_spec import Port
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number

Parts = Mapping[type[ServicePolicy], Callable[[Any], Mapping[str, Any]]]
"""The fields of a rule for each kind of policy; the ``timeouts`` of several policies are merged."""


def routes_of(target: Named, rule: dict[str, Any]) -> list[Manifest]:
    """An HTTPRoute per port of a service, as the route of one port cannot lead to another."""
    spec = spec_of(target)
    return [
        _route(target, port, port_number(spec, port.name), rule) for port in spec.ports if port.protocol.facts.is_http
    ]


def rule_of(about: Sequence[ServicePolicy], parts: Parts, mesh: str) -> dict[str, Any]:
    """The rule for all requests to a service.

    Raises:
        Unsupported: HTTPRoute has no field for one of the policies.
    """
    rule: dict[str, Any] = shown(about)
    timeouts: dict[str, Any] = {}
    for policy in about:
        part = dict(rendering(parts, policy, mesh)(policy))
        timeouts |= part.pop("timeouts", {})
        rule |= part
    return rule | ({"timeouts": timeouts} if timeouts else {})


def request_timeout(policy: Timeout) -> dict[str, Any]:
    """The time limit of the whole request; 0s is no limit."""
    return {"timeouts": {"request": duration(policy.request)}}


def retry_on_statuses(policy: Retry, always: AbstractSet[Failure], source: str) -> dict[str, Any]:
    """Retries of a request, on top of the first attempt, and the time for one attempt.

    Args:
        policy: The retries.
        always: Failures that the mesh retries without being asked.
        source: Where that is documented.

    Raises:
        Unsupported: Some are on other failures, for which HTTPRoute has no field.
    """
    if foreign := policy.on - always - {Failure.STATUS}:
        raise Unsupported(f"HTTPRoute retries by HTTP status, not on {min(foreign)} ({source})")
    codes = {"codes": sorted(policy.statuses)} if policy.statuses else {}
    return {"retry": {"attempts": policy.attempts} | codes} | attempt_timeout(policy)


def attempt_timeout(policy: Retry) -> dict[str, Any]:
    """The time limit of one attempt."""
    return {} if policy.per_try is None else {"timeouts": {"backendRequest": duration(policy.per_try)}}


def shown(about: Sequence[ServicePolicy]) -> dict[str, Any]:
    """The beginning of a rule: a response header shows that a data plane uses the rule."""
    header = {"set": [{"name": MARK, "value": mark(about)}]}
    return {"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": header}]}


def _route(target: Named, port: Port, number: int, rule: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"namespace": target.namespace, "name": f"meshcheck-{target.name}-{port.name}"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": target.name, "port": number}],
            "rules": [rule | {"backendRefs": [{"name": target.name, "port": number}]}],
        },
    }


def duration(seconds: float) -> str:
    """A duration in the format of the Gateway API, whose units have at most five digits: https://gateway-api.sigs.k8s.io/geps/gep-2257/."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    hours, whole = divmod(whole, 3600)
    parts = ((hours, "h"), (whole, "s"), (milliseconds, "ms"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"
