"""A mesh that was there before is judged as what it is installed as, or not at all."""

import pytest

from .conftest import Quick, Suite
from .recorded import Object, api_server, recorded

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: near
clusters:
- {{name: near, cluster: {{server: "{server}"}}}}
contexts:
- {{name: near, context: {{cluster: near, user: me}}}}
users:
- {{name: me, user: {{token: abc}}}}
"""

Objects = tuple[tuple[str, Object], ...]


def pods(image: str) -> dict[str, object]:
    return {"template": {"metadata": {}, "spec": {"containers": [{"image": image}]}}}


ISTIOD = recorded(
    "/apis/apps/v1/namespaces/istio-system/deployments",
    "istiod",
    labels={"app": "istiod", "istio.io/rev": "default"},
    spec=pods("docker.io/istio/pilot:1.30.3"),
)
SOURCE_TREE = recorded(
    "/apis/apps/v1/namespaces/istio-system/deployments",
    "istiod",
    labels={"app": "istiod", "istio.io/rev": "default"},
    spec={
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/version": "1.0.0"}},
            "spec": {"containers": [{"image": "registry.example:5000/istio/pilot:1.30.3-distroless@sha256:00"}]},
        }
    },
)
WAYPOINTS = recorded("/apis/gateway.networking.k8s.io/v1/gatewayclasses", "istio-waypoint")
ZTUNNEL = recorded("/apis/apps/v1/namespaces/istio-system/daemonsets|/apis/apps/v1/daemonsets", "ztunnel")
ELSEWHERE = recorded("/apis/apps/v1/namespaces/ztunnel/daemonsets|/apis/apps/v1/daemonsets", "ztunnel")
INJECTED = recorded("/api/v1/namespaces", "shop", labels={"istio-injection": "enabled"})
AMBIENT = recorded(
    "/api/v1/namespaces", "shop", labels={"istio.io/rev": "stable", "istio.io/dataplane-mode": "ambient"}
)
LINKERD = recorded(
    "/apis/apps/v1/namespaces/linkerd/deployments",
    "linkerd-destination",
    labels={"app.kubernetes.io/version": "edge-26.8.3"},
)
AGENTS = recorded(
    "/apis/apps/v1/namespaces/kube-system/daemonsets|/apis/apps/v1/daemonsets",
    "cilium",
    labels={"k8s-app": "cilium"},
    spec=pods("quay.io/cilium/cilium:v1.18.4@sha256:0"),
)


def cilium(**data: str) -> Objects:
    """Cilium with these settings, written with underscores."""
    settings = {key.replace("_", "-"): value for key, value in data.items()}
    return AGENTS, recorded("/api/v1/namespaces/kube-system/configmaps", "cilium-config", data=settings)


WIREGUARD = cilium(enable_wireguard="true", enable_gateway_api="true")
IPSEC = cilium(enable_ipsec="true", enable_gateway_api="true")
SPIRE = cilium(mesh_auth_mutual_enabled="true", enable_gateway_api="true")
BOTH = cilium(enable_wireguard="true", mesh_auth_mutual_enabled="true", enable_gateway_api="true")
BELOW_LINKERD = cilium(kube_proxy_replacement="false", cni_exclusive="false")

IN_AMBIENT = "istio 1.30.3 in istio-system is installed in ambient mode (there is a DaemonSet ztunnel)"
IN_SIDECARS = "istio 1.30.3 in istio-system is installed in sidecar mode"
ON_CILIUM = "linkerd edge-26.8.3 in linkerd is installed on Cilium's network (there is a DaemonSet cilium)"
CILIUM = "cilium 1.18.4 in kube-system is installed"

OTHER: dict[str, tuple[str, Objects, str]] = {
    # what it is about: the mesh asked for, what is in the cluster, what is said
    "ambient alone": ("istio", (ISTIOD, ZTUNNEL), f"{IN_AMBIENT}: use --mesh=istio-ambient, not --mesh=istio"),
    "ambient by revision": (
        "istio-httproute",
        (ISTIOD, ZTUNNEL, AMBIENT),
        f"{IN_AMBIENT}: use --mesh=istio-ambient, not --mesh=istio-httproute",
    ),
    "sidecars alone": (
        "istio-ambient",
        (ISTIOD,),
        f"{IN_SIDECARS} (there is no DaemonSet ztunnel): "
        "use --mesh=istio or --mesh=istio-httproute, not --mesh=istio-ambient",
    ),
    "sidecars in use": (
        "istio-ambient",
        (ISTIOD, INJECTED),
        f"{IN_SIDECARS} (there are namespaces labelled istio-injection=enabled): "
        "use --mesh=istio or --mesh=istio-httproute, not --mesh=istio-ambient",
    ),
    "linkerd on cilium": (
        "linkerd",
        (LINKERD, *BELOW_LINKERD),
        f"{ON_CILIUM}: use --mesh=linkerd+cilium, not --mesh=linkerd",
    ),
    "linkerd elsewhere": (
        "linkerd+cilium",
        (LINKERD,),
        "linkerd edge-26.8.3 in linkerd is installed on another network than Cilium's (there is no DaemonSet cilium): "
        "use --mesh=linkerd, not --mesh=linkerd+cilium",
    ),
    "ipsec": (
        "cilium",
        IPSEC,
        f"{CILIUM} with IPsec between nodes (enable-ipsec is true in cilium-config): "
        "use --mesh=cilium-ipsec, not --mesh=cilium",
    ),
    "wireguard": (
        "cilium-ztunnel",
        WIREGUARD,
        f"{CILIUM} with WireGuard between nodes (enable-wireguard is true in cilium-config): "
        "use --mesh=cilium, not --mesh=cilium-ztunnel",
    ),
    "spire": (
        "cilium-ipsec",
        SPIRE,
        f"{CILIUM} with mutual authentication by SPIRE (mesh-auth-mutual-enabled is true in cilium-config): "
        "use --mesh=cilium-spire, not --mesh=cilium-ipsec",
    ),
}

FITTING: dict[str, tuple[str, Objects]] = {
    # what it is about: the mesh asked for, what is in the cluster
    "ambient": ("istio-ambient", (ISTIOD, ZTUNNEL)),
    "ambient elsewhere": ("istio-ambient", (ISTIOD, ELSEWHERE)),
    "sidecars": ("istio", (ISTIOD,)),
    "sidecars beside ztunnel": ("istio", (ISTIOD, ZTUNNEL, INJECTED)),
    "ztunnel beside sidecars": ("istio-ambient", (ISTIOD, ZTUNNEL, INJECTED)),
    "linkerd": ("linkerd", (LINKERD,)),
    "linkerd on cilium": ("linkerd+cilium", (LINKERD, *BELOW_LINKERD)),
    "wireguard": ("cilium", WIREGUARD),
    "wireguard beside spire": ("cilium", BOTH),
    "spire beside wireguard": ("cilium-spire", BOTH),
}
"""They get as far as to the probe image, which is looked at next."""

NEXT = "an existing cluster pulls the probe image from a registry: "


@pytest.fixture
def refused(suite: Suite, quick: Quick) -> "Refused":
    """Runs on a cluster with these objects, and tells why it did not begin."""
    return Refused(suite, quick)


class Refused:
    def __init__(self, suite: Suite, quick: Quick) -> None:
        self.suite, self.quick = suite, quick

    def by(self, mesh: str, objects: Objects, *forbidden: str) -> str:
        with api_server(objects, forbidden) as (server, changes):
            self.suite.write("conforms", config_yaml=KUBECONFIG.format(server=server))
            result = self.quick(f"--mesh={mesh}", "--mesh-kubeconfig=config.yaml", "--mesh-installed")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert not changes
        (line,) = [line.removeprefix("ERROR: ") for line in result.stderr.lines if line.startswith("ERROR: ")]
        return line


@pytest.mark.parametrize("case", OTHER)
def test_another_mode_is_named(case: str, refused: Refused) -> None:
    mesh, objects, said = OTHER[case]
    assert refused.by(mesh, objects) == said


@pytest.mark.parametrize("case", FITTING)
def test_the_mode_that_was_asked_for_is_let_pass(case: str, refused: Refused) -> None:
    assert refused.by(*FITTING[case]).startswith(NEXT)


OTHER_VERSION = {
    # mesh asked for: what is in the cluster, what is said
    "istio@1.29.6": (
        (ISTIOD,),
        "istio 1.30.3 is installed, not 1.29.6: use --mesh=istio@1.30.3, or --mesh=istio for any version",
    ),
    "istio-ambient@1.30": (
        (ISTIOD, ZTUNNEL, WAYPOINTS),
        "istio-ambient 1.30.3 is installed, not 1.30: use --mesh=istio-ambient@1.30.3, or --mesh=istio-ambient for "
        "any version",
    ),
    "istio@1.30.2": (
        (SOURCE_TREE,),
        "istio 1.30.3 is installed, not 1.30.2: use --mesh=istio@1.30.3, or --mesh=istio for any version",
    ),
    "linkerd@edge-26.6.3": (
        (LINKERD,),
        "linkerd edge-26.8.3 is installed, not edge-26.6.3: use --mesh=linkerd@edge-26.8.3, or --mesh=linkerd for "
        "any version",
    ),
    "cilium@1.19.0": (
        WIREGUARD,
        "cilium 1.18.4 is installed, not 1.19.0: use --mesh=cilium@1.18.4, or --mesh=cilium for any version",
    ),
}


@pytest.mark.parametrize("mesh", OTHER_VERSION)
def test_another_version_is_named(mesh: str, refused: Refused) -> None:
    objects, said = OTHER_VERSION[mesh]
    assert refused.by(mesh, objects) == said


@pytest.mark.parametrize(
    ("mesh", "objects"),
    [
        ("istio@1.30.3", (ISTIOD,)),
        ("istio@v1.30.3", (ISTIOD,)),
        ("istio@1.30.3", (SOURCE_TREE,)),
        ("linkerd@edge-26.8.3", (LINKERD,)),
        ("linkerd@2026.8.3", (LINKERD,)),
        ("cilium@v1.18.4", WIREGUARD),
    ],
)
def test_the_version_that_was_asked_for_is_let_pass(mesh: str, objects: Objects, refused: Refused) -> None:
    assert refused.by(mesh, objects).startswith(NEXT)


UNREADABLE = {
    # mesh asked for: what may not be read
    "istio": "/apis/apps/v1/namespaces/istio-system/deployments",
    "cilium": "/api/v1/namespaces/kube-system/configmaps/cilium-config",
}


@pytest.mark.parametrize("mesh", UNREADABLE)
def test_a_cluster_that_does_not_say_what_is_installed(mesh: str, refused: Refused) -> None:
    path = UNREADABLE[mesh]
    what = path.rpartition("/")[2]
    said = refused.by(mesh, (), path)
    assert said.startswith(f"cannot tell whether {mesh} is installed in context near: 403 {what} is forbidden; check ")


def test_a_cilium_of_no_variant_says_what_is_missing(refused: Refused) -> None:
    said = refused.by("cilium", cilium(enable_gateway_api="true"))
    assert "enable-wireguard is (not set), wanted is true" in said
