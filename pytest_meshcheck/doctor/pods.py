"""Pods as the doctor sees them: their proxies, their owners and how they are enrolled."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from pytest_meshcheck.doctor.snapshot import annotations_of, labels_of, name_of, namespace_of
from pytest_meshcheck.platforms.kubernetes.api.server import Object

ISTIO_PROXY = "istio-proxy"
LINKERD_PROXY = "linkerd-proxy"
PROXIES = (ISTIO_PROXY, LINKERD_PROXY)
OF_MESH = (*PROXIES, "istio-init", "istio-validation", "linkerd-init", "linkerd-network-validator")
"""The containers that a mesh adds to a pod."""

GATEWAY = "gateway.networking.k8s.io/gateway-name"


def containers(pod: Object) -> list[Object]:
    """All containers of a pod, native sidecars among them."""
    spec = pod.get("spec", {})
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def proxy(pod: Object, name: str) -> Object | None:
    """The proxy of that name; None if the pod has none."""
    return next((one for one in containers(pod) if one["name"] == name), None)


def own_containers(pod: Object) -> list[Object]:
    """The containers of the application."""
    return [one for one in pod.get("spec", {}).get("containers", ()) if one["name"] not in OF_MESH]


def is_gateway(pod: Object) -> bool:
    """Whether a pod consists of a proxy: a gateway or a waypoint."""
    return GATEWAY in labels_of(pod) or not own_containers(pod)


def is_ambient(pod: Object) -> bool:
    """Whether ztunnel takes the traffic of a pod; https://istio.io/latest/docs/ambient/usage/add-workloads/."""
    return annotations_of(pod).get("ambient.istio.io/redirection") == "enabled"


def is_ztunnel(pod: Object) -> bool:
    """Whether a pod is the node proxy of Istio's ambient mode, by the label of its chart."""
    return labels_of(pod).get("app") == "ztunnel"


def is_enrolled(pod: Object) -> bool:
    """Whether a mesh has the traffic of a pod."""
    return is_ambient(pod) or any(proxy(pod, one) for one in PROXIES)


def on_host_network(pod: Object) -> bool:
    """Whether a pod uses the network of its node."""
    return bool(pod.get("spec", {}).get("hostNetwork"))


def owner(pod: Object) -> str:
    """The workload of a pod, e.g. ``shop/orders``: its controller, without the hash that a Deployment adds."""
    for one in pod.get("metadata", {}).get("ownerReferences") or ():
        if one.get("controller"):
            name = str(one["name"])
            template = labels_of(pod).get("pod-template-hash", "")
            return f"{namespace_of(pod)}/{name.removesuffix(f'-{template}') if template else name}"
    return f"{namespace_of(pod)}/{name_of(pod)}"


def by_owner(pods: Iterable[Object]) -> Iterator[tuple[str, list[Object]]]:
    """The pods of each workload."""
    for name, found in groupby(sorted(pods, key=owner), key=owner):
        yield name, list(found)


def setting(pod: Object, key: str) -> str:
    """A label of a pod, or else the annotation of that name."""
    return labels_of(pod).get(key) or annotations_of(pod).get(key, "")


def statuses(pod: Object) -> Mapping[str, Object]:
    """The status of each container by name."""
    status = pod.get("status", {})
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {one["name"]: one for one in found}
