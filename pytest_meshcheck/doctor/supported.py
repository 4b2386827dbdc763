"""The releases of Kubernetes and of the Gateway API that releases of meshes support."""

from dataclasses import dataclass

from pytest_meshcheck.doctor.installed import Product


@dataclass(frozen=True)
class Supported:
    """The versions of another component that the releases of one line support.

    Attributes:
        product: The mesh.
        line: Its release line.
        oldest: The oldest supported minor version.
        newest: The newest one; empty if the documentation names none.
        source: The documentation.
    """

    product: Product
    line: tuple[int, int]
    oldest: str
    newest: str
    source: str


RELEASES = "https://istio.io/latest/docs/releases/supported-releases/#support-status-of-istio-releases"
MINIMUM = "https://github.com/istio/istio/blob/master/istioctl/pkg/install/k8sversion/version.go"
LINKERD_MINIMUM = "https://github.com/linkerd/linkerd2/blob/main/pkg/k8s/version.go"
CILIUM_TESTED = "https://docs.cilium.io/en/v1.18/network/kubernetes/compatibility/"

KUBERNETES = (
    # mesh, line, oldest and newest Kubernetes, source
    Supported(Product.ISTIO, (1, 24), "1.28", "1.31", RELEASES),
    Supported(Product.ISTIO, (1, 25), "1.29", "1.32", RELEASES),
    Supported(Product.ISTIO, (1, 26), "1.29", "1.33", RELEASES),
    Supported(Product.ISTIO, (1, 27), "1.29", "1.33", RELEASES),
    Supported(Product.ISTIO, (1, 28), "1.30", "1.34", RELEASES),
    Supported(Product.ISTIO, (1, 29), "1.31", "1.35", RELEASES),
    Supported(Product.ISTIO, (1, 30), "1.32", "", MINIMUM),
    Supported(Product.ISTIO, (1, 31), "1.32", "", MINIMUM),
    Supported(Product.LINKERD, (26, 6), "1.31", "", LINKERD_MINIMUM),
    Supported(Product.LINKERD, (26, 7), "1.31", "", LINKERD_MINIMUM),
    Supported(Product.LINKERD, (26, 8), "1.31", "", LINKERD_MINIMUM),
    Supported(Product.CILIUM, (1, 18), "1.30", "1.33", CILIUM_TESTED),
)

GO_MOD = "https://github.com/istio/istio/blob/release-{line}/go.mod"
GATEWAY_API = (
    # mesh, line, oldest and newest release of the Gateway API, source
    Supported(Product.ISTIO, (1, 29), "1.4", "1.4", GO_MOD.format(line="1.29")),
    Supported(Product.ISTIO, (1, 30), "1.5", "1.5", GO_MOD.format(line="1.30")),
    Supported(Product.ISTIO, (1, 31), "1.6", "1.6", GO_MOD.format(line="1.31")),
    Supported(Product.LINKERD, (26, 6), "1.2", "1.5", "https://linkerd.io/2/features/gateway-api/"),
    Supported(Product.LINKERD, (26, 7), "1.2", "1.5", "https://linkerd.io/2/features/gateway-api/"),
    Supported(Product.LINKERD, (26, 8), "1.2", "1.5", "https://linkerd.io/2/features/gateway-api/"),
    Supported(
        Product.CILIUM,
        (1, 19),
        "1.4",
        "1.4",
        "https://docs.cilium.io/en/v1.19/network/servicemesh/gateway-api/gateway-api/",
    ),
    Supported(
        Product.CILIUM,
        (1, 20),
        "1.6",
        "1.6",
        "https://docs.cilium.io/en/v1.20/network/servicemesh/gateway-api/gateway-api/",
    ),
)
