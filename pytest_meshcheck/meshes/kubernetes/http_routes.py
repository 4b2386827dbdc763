"""HTTPRoutes whose parent is a service: Gateway API's mesh profile, which meshes fill in differently; pure.

https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from collections.abc import Sequence
from typing import Any

from pytest_meshcheck.model.observation import Protocol
from pytest_meshcheck.model.policy import MARK, MutualTls, Named, Policy, mark
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.model.workload_spec import Port
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.manifests import port_number


def service_of(about: Sequence[Policy]) -> Named:
    """The service that policies are about."""
    return next(policy.target for policy in about if not isinstance(policy, MutualTls))


def routes_of(target: Named, rule: dict[str, Any]) -> list[Manifest]:
    """An HTTPRoute per port of a service, as the route of one port cannot lead to another."""
    spec = spec_of(target)
    return [
        _route(target, port, port_number(spec, port.name), rule)
        for port in spec.ports
        if port.protocol is not Protocol.TCP
    ]


def shown(about: Sequence[Policy]) -> dict[str, Any]:
    """The beginning of a rule: a header of the answer shows that a data plane goes by it."""
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
    """As the Gateway API writes it, whose units have at most five digits: https://gateway-api.sigs.k8s.io/geps/gep-2257/."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    hours, whole = divmod(whole, 3600)
    parts = ((hours, "h"), (whole, "s"), (milliseconds, "ms"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0s"
