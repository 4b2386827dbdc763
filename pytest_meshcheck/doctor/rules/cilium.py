"""Cilium's settings, alone and under another mesh."""

from collections.abc import Iterator, Mapping

from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.installed import Product, cilium_config, has, has_plugin, is_ambient
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, called
from pytest_meshcheck.meshes.cilium.settings import FOR_LINKERD, Setting
from pytest_meshcheck.platforms.kubernetes.api.server import Object

ISTIO_DOCS = "https://docs.cilium.io/en/stable/network/servicemesh/istio/"
AMBIENT_DOCS = "https://istio.io/latest/docs/ambient/install/platform-prerequisites/#cilium"

FOR_ISTIO = (
    Setting(
        "bpf-lb-sock-hostns-only",
        "true",
        "socketLB.hostNamespaceOnly=true",
        "connections to a service go to a pod's address before Istio's proxy sees them, "
        "so that its routes, retries and timeouts never act",
        ISTIO_DOCS,
        only_if={"kube-proxy-replacement": "true", "bpf-lb-sock": "true"},
    ),
    Setting(
        "cni-exclusive",
        "false",
        "cni.exclusive=false",
        "Cilium disables the configuration of other CNI plugins, including Istio's",
        ISTIO_DOCS,
    ),
)
FOR_AMBIENT = (
    Setting(
        "enable-bpf-masquerade",
        "false",
        "bpf.masquerade=false",
        "the kubelet's health probes do not reach pods in ambient mode",
        AMBIENT_DOCS,
        only_if={"enable-bpf-masquerade": "true"},
    ),
)
"""The settings of Cilium that Istio depends on."""

FOR_PLUGINS = "cni-exclusive"
"""The setting that matters only to a mesh with a CNI plugin; others redirect from an init container."""

ENCRYPTIONS = {"enable-wireguard": "WireGuard", "enable-ipsec": "IPsec"}


def under_another_mesh(snapshot: Snapshot) -> Iterator[Found]:
    """Settings of Cilium that keep another mesh from seeing or taking traffic."""
    if (found := cilium_config(snapshot)) is None:
        return
    name, config = found
    for setting in _wanted(snapshot):
        matters = not setting.only_if or any(config.get(key) == value for key, value in setting.only_if.items())
        value = config.get(setting.key, "not set")
        if matters and value != setting.wanted:
            yield Found(
                Severity.ERROR,
                name,
                f"{setting.key} is {value}, wanted is {setting.wanted}: {setting.why}",
                f"set {setting.value} in Cilium's chart, and restart its agents",
                setting.source,
            )


def _wanted(snapshot: Snapshot) -> Iterator[Setting]:
    for product, settings in ((Product.LINKERD, FOR_LINKERD), (Product.ISTIO, FOR_ISTIO)):
        if has(snapshot, product):
            plugin = has_plugin(snapshot, product)
            yield from (one for one in settings if plugin or one.key != FOR_PLUGINS)
    if is_ambient(snapshot):
        yield from FOR_AMBIENT


def kube_proxy_replacement(snapshot: Snapshot) -> Iterator[Found]:
    """Whether Cilium replaces kube-proxy under another mesh, which then depends on how it does so."""
    found = cilium_config(snapshot)
    if found and _other(snapshot) and found[1].get("kube-proxy-replacement") == "true":
        yield Found(
            Severity.INFO,
            found[0],
            f"Cilium replaces kube-proxy under {_other(snapshot)}: services are resolved by eBPF, and by the mesh "
            "only where connections of pods keep the address of the service",
        )


def encrypted_twice(snapshot: Snapshot) -> Iterator[Found]:
    """Encryption between nodes beside the mutual TLS of another mesh."""
    found = cilium_config(snapshot)
    if found and (used := _encryption(found[1])) and (other := _other(snapshot)):
        yield Found(
            Severity.INFO,
            found[0],
            f"{used} encrypts between nodes what the mutual TLS of {other} protects already: twice the work, "
            "and a capture between nodes says nothing about the mesh",
            "keep it if traffic outside of the mesh needs it",
        )


def authentication_without_encryption(snapshot: Snapshot) -> Iterator[Found]:
    """Mutual authentication, which by itself leaves packets in plaintext."""
    found = cilium_config(snapshot)
    if found and found[1].get("mesh-auth-mutual-enabled") == "true" and not _encryption(found[1]):
        yield Found(
            Severity.WARNING,
            found[0],
            "mutual authentication is on and encryption is off: peers are authenticated, their packets are plaintext",
            "set encryption.enabled=true and encryption.type=wireguard in Cilium's chart",
        )


def l7_proxy_off(snapshot: Snapshot) -> Iterator[Found]:
    """L7 rules or routes that nothing enforces."""
    found = cilium_config(snapshot)
    if not found or found[1].get("enable-l7-proxy", "true") != "false":
        return
    ruled = [one for one in snapshot.of(Kind.CILIUM_POLICY) if _has_l7(one)]
    for one in ruled:
        yield Found(
            Severity.ERROR,
            called(Kind.CILIUM_POLICY, one),
            "it has L7 rules, and Cilium's L7 proxy is off",
            "set l7Proxy=true in Cilium's chart, or write the rules for another mesh",
        )
    if not ruled:
        yield Found(
            Severity.INFO, found[0], "Cilium's L7 proxy is off: no HTTP rules, no Gateway API, no retries by Cilium"
        )


def _has_l7(policy: Object) -> bool:
    specs = [policy.get("spec") or {}, *(policy.get("specs") or ())]
    rules = [rule for spec in specs for side in ("ingress", "egress") for rule in spec.get(side) or ()]
    return any("rules" in port for rule in rules for port in rule.get("toPorts") or ())


def _encryption(config: Mapping[str, str]) -> str:
    return next((name for key, name in ENCRYPTIONS.items() if config.get(key) == "true"), "")


def _other(snapshot: Snapshot) -> str:
    return " and ".join(one for one in (Product.ISTIO, Product.LINKERD) if has(snapshot, one))
