"""Workloads that should be in a mesh and are not."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pytest_meshcheck.doctor import pods
from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.installed import Product, control_planes, has, is_ambient, revision
from pytest_meshcheck.doctor.snapshot import (
    Kind,
    Snapshot,
    annotations_of,
    called,
    labels_of,
    name_of,
    namespace_of,
)
from pytest_meshcheck.platforms.kubernetes.api.server import Object

INJECTION, REVISION, TAG = "istio-injection", "istio.io/rev", "istio.io/tag"
POD_INJECTION = "sidecar.istio.io/inject"
LINKERD_INJECTION = "linkerd.io/inject"
DATAPLANE = "istio.io/dataplane-mode"
WAYPOINT, WAYPOINT_NAMESPACE = "istio.io/use-waypoint", "istio.io/use-waypoint-namespace"
LEFT_OUT = ("kube-system", "kube-public", "kube-node-lease", "cert-manager")
"""Namespaces in which Linkerd or Istio never inject."""


@dataclass(frozen=True)
class Injection:
    """How a mesh is told to inject sidecars.

    Attributes:
        product: The mesh.
        proxy: The name of its proxy's container.
        by_namespace: Whether the namespace of a pod says so.
        refused: Whether the pod itself says no.
        demanded: Whether the pod itself says yes.
        words: What says no, for messages.
    """

    product: Product
    proxy: str
    by_namespace: Callable[[Snapshot, str], bool]
    refused: Callable[[Object], bool]
    demanded: Callable[[Object], bool]
    words: str


def _istio_namespace(snapshot: Snapshot, namespace: str) -> bool:
    labels = snapshot.namespace_labels(namespace)
    return labels.get(INJECTION) == "enabled" or (REVISION in labels and labels.get(INJECTION) != "disabled")


def _linkerd_namespace(snapshot: Snapshot, namespace: str) -> bool:
    return snapshot.namespace_annotations(namespace).get(LINKERD_INJECTION) in ("enabled", "ingress")


INJECTIONS = (
    # mesh, container, asked for by the namespace, refused by the pod, demanded by the pod, words
    Injection(
        Product.ISTIO,
        pods.ISTIO_PROXY,
        _istio_namespace,
        lambda pod: pods.setting(pod, POD_INJECTION) == "false",
        lambda pod: pods.setting(pod, POD_INJECTION) == "true",
        f"{POD_INJECTION}: false",
    ),
    Injection(
        Product.LINKERD,
        pods.LINKERD_PROXY,
        _linkerd_namespace,
        lambda pod: annotations_of(pod).get(LINKERD_INJECTION) == "disabled",
        lambda pod: annotations_of(pod).get(LINKERD_INJECTION) in ("enabled", "ingress"),
        f"{LINKERD_INJECTION}: disabled",
    ),
)


def without_sidecar(snapshot: Snapshot) -> Iterator[Found]:
    """Pods that should have a sidecar, and started without one."""
    for injection in INJECTIONS:
        wanting = [
            pod
            for pod in _candidates(snapshot, injection)
            if not pods.proxy(pod, injection.proxy) and not injection.refused(pod) and not pods.is_ambient(pod)
        ]
        for owner, found in pods.by_owner(wanting):
            yield Found(
                Severity.ERROR,
                f"workload {owner}",
                f"{len(found)} of its pods should be in {injection.product} and have no sidecar: they started before "
                "the label, or while the injector was away",
                "restart the workload",
            )


def opted_out(snapshot: Snapshot) -> Iterator[Found]:
    """Pods that refuse the sidecar which their namespace asks for."""
    for injection in INJECTIONS:
        refusing = [pod for pod in _candidates(snapshot, injection) if injection.refused(pod)]
        for owner, found in pods.by_owner(refusing):
            yield Found(
                Severity.WARNING,
                f"workload {owner}",
                f"its namespace is in {injection.product}, and {len(found)} of its pods have {injection.words}: "
                "their traffic is plaintext, and no policy of the mesh is enforced for them",
                "remove the setting, or know that it is outside of the mesh",
            )


def host_network(snapshot: Snapshot) -> Iterator[Found]:
    """Pods on the network of their node, whose traffic no mesh can take."""
    wanted = [pod for pod in snapshot.pods() if pods.on_host_network(pod) and _is_wanted(snapshot, pod)]
    for owner, found in pods.by_owner(wanted):
        yield Found(
            Severity.WARNING,
            f"workload {owner}",
            f"{len(found)} of its pods use hostNetwork: their namespace is in a mesh, and they are not",
            "give them a network of their own, or move them to a namespace outside of the mesh",
        )


def not_redirected(snapshot: Snapshot) -> Iterator[Found]:
    """Pods of ambient namespaces whose traffic ztunnel does not take."""
    wanting = [
        pod
        for pod in snapshot.pods()
        if _ambient_wanted(snapshot, pod)
        and not (pods.is_ambient(pod) or pods.on_host_network(pod) or pods.proxy(pod, pods.ISTIO_PROXY))
    ]
    reason = "the CNI plugin did not redirect them" if is_ambient(snapshot) else "the cluster has no ztunnel"
    for owner, found in pods.by_owner(wanting):
        yield Found(
            Severity.ERROR,
            f"workload {owner}",
            f"{len(found)} of its pods should be in Istio's ambient mode, and {reason}: their traffic is plaintext",
            "look at istio-cni-node on their nodes, and restart the workload",
        )


def unknown_revision(snapshot: Snapshot) -> Iterator[Found]:
    """Namespaces whose revision label no injector serves."""
    planes = control_planes(snapshot, Product.ISTIO)
    known = {revision(one) for one in planes}
    for hook in snapshot.of(Kind.MUTATING_WEBHOOK):
        known |= {labels_of(hook)[key] for key in (REVISION, TAG) if key in labels_of(hook)}
    for namespace in snapshot.of(Kind.NAMESPACE):
        wanted = labels_of(namespace).get(REVISION)
        if planes and wanted and wanted not in known:
            yield Found(
                Severity.ERROR,
                f"Namespace {name_of(namespace)}",
                f"{REVISION}={wanted} names no revision or tag: pods start without a sidecar",
                f"use one of {', '.join(sorted(known))}",
            )


def contradicting_labels(snapshot: Snapshot) -> Iterator[Found]:
    """Namespaces with labels of which only one is obeyed."""
    for namespace in snapshot.of(Kind.NAMESPACE):
        labels = labels_of(namespace)
        asked = [f"{key}={labels[key]}" for key in (INJECTION, REVISION, DATAPLANE) if labels.get(key)]
        if _linkerd_namespace(snapshot, name_of(namespace)):
            asked.append(f"{LINKERD_INJECTION}={annotations_of(namespace)[LINKERD_INJECTION]}")
        if len(asked) > 1 and not {f"{INJECTION}=disabled", f"{DATAPLANE}=none"} & set(asked):
            yield Found(
                Severity.WARNING,
                f"Namespace {name_of(namespace)}",
                f"it asks for several data planes: {', '.join(asked)}; {_winner(labels)}",
                "keep the label that you mean",
            )


def _winner(labels: object) -> str:
    inject = isinstance(labels, dict) and labels.get(INJECTION)
    return f"{INJECTION} outranks the other labels of Istio" if inject else "pods may belong to both"


def missing_waypoint(snapshot: Snapshot) -> Iterator[Found]:
    """Waypoints that are asked for and not there: their L7 policies are skipped."""
    waypoints = {f"{namespace_of(one)}/{name_of(one)}": _is_programmed(one) for one in snapshot.of(Kind.GATEWAY)}
    for kind, items in ((Kind.NAMESPACE, snapshot.of(Kind.NAMESPACE)), (Kind.POD, tuple(snapshot.pods()))):
        for item in items:
            name = labels_of(item).get(WAYPOINT, "none")
            home = labels_of(item).get(WAYPOINT_NAMESPACE) or namespace_of(item) or name_of(item)
            if name == "none" or waypoints.get(f"{home}/{name}"):
                continue
            state = "is not programmed" if f"{home}/{name}" in waypoints else "does not exist"
            yield Found(
                Severity.ERROR,
                called(kind, item),
                f"its waypoint {home}/{name} {state}: traffic goes straight to the pods, past L7 policies",
                "create the waypoint, or remove the label",
            )


def _is_programmed(gateway: Object) -> bool:
    conditions = gateway.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Programmed" and one["status"] == "True" for one in conditions)


def _candidates(snapshot: Snapshot, injection: Injection) -> Iterable[Object]:
    """The pods that a mesh of this cluster could inject, and that are asked for."""
    if not has(snapshot, injection.product):
        return ()
    return (
        pod
        for pod in snapshot.pods()
        if (injection.demanded(pod) or injection.by_namespace(snapshot, namespace_of(pod)))
        and not pods.on_host_network(pod)
        and not pods.is_gateway(pod)
        and namespace_of(pod) not in LEFT_OUT
        and not pods.setting(pod, "linkerd.io/control-plane-component")
    )


def _ambient_wanted(snapshot: Snapshot, pod: Object) -> bool:
    by_namespace = snapshot.namespace_labels(namespace_of(pod)).get(DATAPLANE)
    return (labels_of(pod).get(DATAPLANE) or by_namespace) == "ambient" and not pods.is_gateway(pod)


def _is_wanted(snapshot: Snapshot, pod: Object) -> bool:
    by_namespace = any(
        has(snapshot, one.product) and one.by_namespace(snapshot, namespace_of(pod)) and not one.refused(pod)
        for one in INJECTIONS
    )
    return by_namespace or _ambient_wanted(snapshot, pod)
