"""The meshes of a cluster, read from a snapshot."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_meshcheck.doctor import versions
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, annotations_of, labels_of, name_of, namespace_of
from pytest_meshcheck.meshes.cilium.settings import CONFIG
from pytest_meshcheck.platforms.kubernetes.api.server import Object


class Product(enum.StrEnum):
    """The meshes that the doctor knows."""

    ISTIO = "Istio"
    LINKERD = "Linkerd"
    CILIUM = "Cilium"


@dataclass(frozen=True)
class Component:
    """One workload of a mesh.

    Attributes:
        product: The mesh.
        role: What it is for; ``control plane`` for the workload that stands for the mesh.
        kind: Deployment or DaemonSet.
        item: The object.
        version: Its version; empty if neither image nor labels show one.
    """

    product: Product
    role: str
    kind: Kind
    item: Object
    version: str

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.kind} {namespace_of(self.item)}/{name_of(self.item)}"

    @property
    def namespace(self) -> str:
        """Where it is."""
        return namespace_of(self.item)


CONTROL_PLANE = "control plane"
NODE_PROXY = "node proxy"
CNI_PLUGIN = "CNI plugin"

ROLES = (
    # kind, label, its value, product, role, container
    (Kind.DEPLOYMENT, "app", "istiod", Product.ISTIO, CONTROL_PLANE, "discovery"),
    (Kind.DAEMON_SET, "app", "ztunnel", Product.ISTIO, NODE_PROXY, "istio-proxy"),
    (Kind.DAEMON_SET, "k8s-app", "istio-cni-node", Product.ISTIO, CNI_PLUGIN, "install-cni"),
    (Kind.DAEMON_SET, "k8s-app", "linkerd-cni", Product.LINKERD, CNI_PLUGIN, "install-cni"),
    (
        Kind.DEPLOYMENT,
        "linkerd.io/control-plane-component",
        "destination",
        Product.LINKERD,
        CONTROL_PLANE,
        "destination",
    ),
    (Kind.DEPLOYMENT, "linkerd.io/control-plane-component", "identity", Product.LINKERD, "identity", "identity"),
    (
        Kind.DEPLOYMENT,
        "linkerd.io/control-plane-component",
        "proxy-injector",
        Product.LINKERD,
        "proxy injector",
        "proxy-injector",
    ),
    (Kind.DAEMON_SET, "k8s-app", "cilium", Product.CILIUM, CONTROL_PLANE, "cilium-agent"),
    (Kind.DEPLOYMENT, "io.cilium/app", "operator", Product.CILIUM, "operator", ""),
    (Kind.DAEMON_SET, "k8s-app", "cilium-envoy", Product.CILIUM, "L7 proxy (with the version of Envoy)", ""),
)


def components(snapshot: Snapshot) -> Iterator[Component]:
    """The workloads of meshes."""
    for kind, label, value, product, role, container in ROLES:
        for item in snapshot.of(kind):
            if labels_of(item).get(label) == value or _template_labels(item).get(label) == value:
                yield Component(product, role, kind, item, _version(item, product, container))


def control_planes(snapshot: Snapshot, *products: Product) -> list[Component]:
    """The control planes, or those of these meshes."""
    found = [one for one in components(snapshot) if one.role == CONTROL_PLANE]
    return [one for one in found if not products or one.product in products]


def has(snapshot: Snapshot, product: Product) -> bool:
    """Whether the cluster has this mesh."""
    return bool(control_planes(snapshot, product))


def is_ambient(snapshot: Snapshot) -> bool:
    """Whether the cluster has Istio's ambient mode."""
    return any(one.role == NODE_PROXY for one in components(snapshot))


def has_plugin(snapshot: Snapshot, product: Product) -> bool:
    """Whether this mesh redirects traffic by a CNI plugin."""
    return any(one.product is product and one.role == CNI_PLUGIN for one in components(snapshot))


def revision(istiod: Component) -> str:
    """The revision of an istiod."""
    return labels_of(istiod.item).get("istio.io/rev") or "default"


def cilium_config(snapshot: Snapshot) -> tuple[str, Mapping[str, str]] | None:
    """The name and the settings of Cilium; None if there is none."""
    for one in snapshot.config(CONFIG):
        settings: Mapping[str, str] = one.get("data") or {}
        return f"ConfigMap {namespace_of(one)}/{CONFIG}", settings
    return None


def _template_labels(item: Object) -> Mapping[str, str]:
    return labels_of(item.get("spec", {}).get("template", {}))


def _version(item: Object, product: Product, container: str) -> str:
    """The version in the image; for images without one, what the chart wrote.

    Only Linkerd's chart is believed: that of a checkout of Istio always says 1.0.0.
    """
    template = item.get("spec", {}).get("template", {})
    images = [
        str(one.get("image", ""))
        for one in template.get("spec", {}).get("containers", ())
        if not container or one.get("name") == container
    ]
    shown = next(filter(None, map(versions.in_image, images)), "")
    if shown or product is not Product.LINKERD:
        return shown
    created_by = annotations_of(template).get("linkerd.io/created-by", "").rpartition(" ")[2]
    return labels_of(item).get("app.kubernetes.io/version", "") or created_by
