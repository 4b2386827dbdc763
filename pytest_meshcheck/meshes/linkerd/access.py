"""Which callers a workload lets in, as Servers of Linkerd; pure.

https://linkerd.io/2-edge/reference/authorization-policy/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.linkerd.sources import DEFAULT_POLICY
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.manifests import NUMBERS, WORKLOAD, port_number
from pytest_meshcheck.stage.faults import Unsupported
from pytest_meshcheck.stage.policy import Mode, MutualTls, Namespace, Policy, WholeMesh
from pytest_meshcheck.stage.workload import WorkloadSpec, spec_of

ACCESS = {Mode.STRICT: "all-authenticated", Mode.PERMISSIVE: "all-unauthenticated"}


@dataclass(frozen=True)
class Door:
    """One port of one workload."""

    namespace: str
    workload: str
    port: str
    number: int


def servers(policies: Sequence[Policy]) -> list[Manifest]:
    """A Server for each port; as of two that select one pod the older counts, no two of ours do.

    Raises:
        Unsupported: A policy is about the whole mesh.
    """
    doors: dict[Door, Mode] = {}
    namespaces: dict[str, Mode] = {}
    for policy in [policy for policy in policies if isinstance(policy, MutualTls)]:
        match policy.target:
            case WholeMesh():
                raise Unsupported(f"the default policy of the mesh is fixed when a pod is made ({DEFAULT_POLICY})")
            case Namespace(namespace):
                namespaces |= {namespace: policy.mode} if policy.mode else {}
            case target:
                doors |= _modes(policy, spec_of(target))
    return [
        *(_of_workload(door, mode) for door, mode in doors.items()),
        *(_of_namespace(name, port, mode, list(doors)) for name, mode in namespaces.items() for port in NUMBERS),
    ]


def _modes(policy: MutualTls, spec: WorkloadSpec) -> dict[Door, Mode]:
    modes = {port.name: policy.ports.get(port.name, policy.mode) for port in spec.ports}
    return {
        Door(spec.namespace, spec.name, port, port_number(spec, port)): mode for port, mode in modes.items() if mode
    }


def _of_workload(door: Door, mode: Mode) -> Manifest:
    selector = {"matchLabels": {WORKLOAD: door.workload}}
    return _server(door.namespace, f"{door.workload}.{door.port}", selector, door.number, mode)


def _of_namespace(namespace: str, port: str, mode: Mode, doors: Sequence[Door]) -> Manifest:
    """For every workload but those that have a Server of their own for this port."""
    others = sorted(door.workload for door in doors if (door.namespace, door.number) == (namespace, NUMBERS[port]))
    expressions = [{"key": WORKLOAD, "operator": "NotIn", "values": others}] if others else []
    selector = {"matchExpressions": expressions} if expressions else {}
    return _server(namespace, f"every.{port}", selector, NUMBERS[port], mode)


def _server(namespace: str, name: str, selector: Mapping[str, Any], number: int, mode: Mode) -> Manifest:
    return {
        "apiVersion": "policy.linkerd.io/v1beta3",
        "kind": "Server",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"podSelector": selector, "port": number, "accessPolicy": ACCESS[mode]},
    }
