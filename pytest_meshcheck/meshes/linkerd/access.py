"""Server-side policies as Servers of Linkerd; pure.

https://linkerd.io/2-edge/reference/authorization-policy/
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.linkerd.sources import DEFAULT_POLICY
from pytest_meshcheck.meshes.rendering import rendering
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import Mode, MutualTls, Namespace, Policy, WholeMesh, WorkloadPolicy, about_workloads
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.model.workload_spec import PORTS, Port, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import WORKLOAD
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number

ACCESS = {Mode.STRICT: "all-authenticated", Mode.PERMISSIVE: "all-unauthenticated"}


EVERY = "every-workload"
"""Stands for the workload in the name of a Server for a whole namespace."""


@dataclass(frozen=True)
class Door:
    """One port of one workload."""

    namespace: str
    workload: str
    port: Port
    number: int

    @classmethod
    def of(cls, spec: WorkloadSpec, port: Port) -> "Door":
        """A declared port."""
        return cls(spec.namespace, spec.name, port, port_number(spec, port.name))


def servers(policies: Sequence[Policy]) -> list[Manifest]:
    """A Server for each port. If two select one pod, the older counts, so ours never overlap.

    Raises:
        Unsupported: A policy covers the whole mesh, or a Server cannot express it.
    """
    own: dict[Door, Mode] = {}
    wide: dict[Door, Mode] = {}
    for policy in about_workloads(policies):
        modes = rendering(MODES, policy, "Linkerd")
        match policy.target:
            case WholeMesh():
                raise Unsupported(f"the default policy of the mesh is fixed when a pod is made ({DEFAULT_POLICY})")
            case Namespace(namespace):
                wide |= modes(policy, WorkloadSpec(namespace, EVERY, ports=PORTS))
            case target:
                own |= modes(policy, spec_of(target))
    return [
        *(_server(door, {"matchLabels": {WORKLOAD: door.workload}}, mode) for door, mode in own.items()),
        *(_server(door, _but(door, list(own)), mode) for door, mode in wide.items()),
    ]


def _modes(policy: MutualTls, spec: WorkloadSpec) -> dict[Door, Mode]:
    modes = {Door.of(spec, port): policy.ports.get(port.name, policy.mode) for port in spec.ports}
    return {door: mode for door, mode in modes.items() if mode}


MODES: Mapping[type[WorkloadPolicy], Callable[[Any, WorkloadSpec], dict[Door, Mode]]] = {MutualTls: _modes}


def _but(wide: Door, own: Sequence[Door]) -> dict[str, Any]:
    """A selector for every workload without a Server of its own for this port.

    It is never empty: server-side apply turns a change to an empty selector into null, which the API server rejects.
    """
    others = sorted(one.workload for one in own if (one.namespace, one.number) == (wide.namespace, wide.number))
    excepted = {"operator": "NotIn", "values": others} if others else {"operator": "Exists"}
    return {"matchExpressions": [{"key": WORKLOAD, **excepted}]}


def _server(door: Door, selector: Mapping[str, Any], mode: Mode) -> Manifest:
    """A Server; it overrides other settings of the protocol, which cannot be detected if the server speaks first."""
    opaque = {"proxyProtocol": "opaque"} if door.port.server_first else {}
    return {
        "apiVersion": "policy.linkerd.io/v1beta3",
        "kind": "Server",
        "metadata": {"namespace": door.namespace, "name": f"{door.workload}.{door.port.name}"},
        "spec": {"podSelector": selector, "port": door.number, "accessPolicy": ACCESS[mode]} | opaque,
    }
