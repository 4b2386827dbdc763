"""The services of a user's manifests, and the ports that callers see; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_meshcheck.manifests.objects import KubernetesObject, texts
from pytest_meshcheck.manifests.protocols import Declared, declared
from pytest_meshcheck.manifests.stand_ins import StandIn, StandInPort
from pytest_meshcheck.platforms.base import Manifest

HEADLESS = "None"
FROM_OUTSIDE = ("LoadBalancer", "NodePort")
GIVEN_BY_CLUSTER = ("clusterIPs", "externalIPs", "loadBalancerIP", "loadBalancerClass", "healthCheckNodePort")
OF_OUTSIDE = ("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "loadBalancerSourceRanges")


TCP = "TCP"

CLUSTER_DOMAIN = "svc.cluster.local"
"""Where services are looked up; https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"""


def full_name(namespace: str, service: str) -> str:
    """The host of a service."""
    return f"{service}.{namespace}.{CLUSTER_DOMAIN}"


@dataclass(frozen=True)
class Destination:
    """A port of a service that callers call.

    Attributes:
        namespace: The namespace of the service; empty for that of the objects that name none.
        service: Its name.
        port: The number of its port.
        declared: The protocol of the port.
        backends: The stand-ins behind it, and the number of their port.
        external_host: The host outside of the mesh that it is; empty for a service.
    """

    namespace: str
    service: str
    port: int
    declared: Declared
    backends: tuple[tuple[StandIn, int], ...]
    external_host: str = ""

    @property
    def full_name(self) -> str:
        """The host under which resources of any namespace name it."""
        return self.external_host or full_name(self.namespace, self.service)

    @property
    def has_methods(self) -> bool:
        """Whether requests to it have methods, paths and headers to choose: it speaks HTTP, and not gRPC."""
        facts = self.declared.spoken.facts
        return facts.is_http and not facts.grpc

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.service}" if self.namespace else self.service
        return f"{name}:{self.port}"


def destinations(service: KubernetesObject, stand_ins: Iterable[StandIn]) -> list[Destination]:
    """The ports of a service over TCP, with the stand-ins behind it; none where it has no selector."""
    selector = texts(service.spec.get("selector"))
    behind = [one for one in stand_ins if one.namespace == service.namespace and _selects(selector, one)]
    return [
        Destination(
            service.namespace,
            service.name,
            int(port["port"]),
            declared(port),
            tuple((one, number) for one in behind if (number := _target(port, one)) is not None),
        )
        for port in service.spec.get("ports") or ()
        if port.get("protocol", TCP) == TCP
    ]


def ports_beside_tcp(service: KubernetesObject) -> list[tuple[int, str]]:
    """The ports of a service over other protocols, each with its protocol, e.g. ``UDP``."""
    ports = service.spec.get("ports") or ()
    return [(int(port["port"]), port["protocol"]) for port in ports if port.get("protocol", TCP) != TCP]


def serving(stand_in: StandIn, called: Iterable[Destination]) -> StandIn:
    """A stand-in that serves what its services lead to, also undeclared, in the protocol that they declare."""
    ports = {port.number: port for port in stand_in.ports}
    for destination in called:
        for backend, number in destination.backends:
            if backend is stand_in:
                known = ports.get(number, StandInPort(number, "", destination.declared))
                ports[number] = replace(known, declared=destination.declared) if destination.declared.by else known
    return replace(stand_in, ports=tuple(ports.values()))


def as_applied(service: KubernetesObject) -> Manifest:
    """A service for callers inside of the cluster: without addresses and ports on nodes."""
    kept = {name: value for name, value in service.spec.items() if name not in GIVEN_BY_CLUSTER}
    if kept.get("clusterIP") != HEADLESS:
        kept.pop("clusterIP", None)
    if kept.get("type") in FROM_OUTSIDE:
        kept = {name: value for name, value in kept.items() if name not in OF_OUTSIDE} | {"type": "ClusterIP"}
    if ports := kept.get("ports"):
        kept["ports"] = [{name: value for name, value in port.items() if name != "nodePort"} for port in ports]
    return {**service.manifest, "spec": kept}


def _selects(selector: Mapping[str, str], stand_in: StandIn) -> bool:
    return bool(selector) and selector.items() <= stand_in.labels.items()


def _target(port: Mapping[str, object], stand_in: StandIn) -> int | None:
    """The number of the stand-in's port that a service port leads to; None if it has none of that name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    return next((one.number for one in stand_in.ports if one.name == target), None)
