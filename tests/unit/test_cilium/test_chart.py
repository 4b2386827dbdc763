"""What the real chart makes of our values, by the user's helm; needs Cilium's charts, and no cluster."""

import functools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_meshcheck.meshes.cilium.installed import SYSTEM
from pytest_meshcheck.meshes.cilium.mesh import CHART, ROLLOUTS, CiliumMesh
from pytest_meshcheck.meshes.cilium.settings import CONFIG, conflicts
from pytest_meshcheck.meshes.cilium.values import ONE_BY_ONE
from pytest_meshcheck.meshes.cilium.variants import BELOW_LINKERD, IPSEC, SPIRE, WIREGUARD, ZTUNNEL, Variant
from pytest_meshcheck.platforms.helm.charts import Charts
from pytest_meshcheck.platforms.helm.process import HelmFailed, ask

CHARTS = "MESHCHECK_CILIUM_CHARTS"
"""Environment variable: a directory with Cilium's charts, as cilium-1.20.0.tgz."""

NOT_RENDERED = {"k8sServiceHost": "kind-control-plane", "k8sServicePort": "6443"}
"""Without a cluster the address of the API server cannot be looked up."""

SPELT = {None: "null", True: "true", False: "false"}
MINORS = ("1.18", "1.19", "1.20")
OFFERED = [
    # variant, version
    *((variant, version) for variant in (WIREGUARD, IPSEC, SPIRE, BELOW_LINKERD) for version in MINORS),
    *((ZTUNNEL, version) for version in MINORS[1:]),
]
by_variant = pytest.mark.parametrize(("variant", "minor"), OFFERED, ids=lambda value: getattr(value, "name", value))

pytestmark = pytest.mark.skipif(
    not os.environ.get(CHARTS) or shutil.which("helm") is None, reason=f"needs helm, and Cilium's charts in {CHARTS}"
)

Rendered = dict[tuple[str, str, str], Mapping[str, Any]]


def rendered(values: Mapping[str, Any], minor: str) -> Rendered:
    """What a chart of that minor version makes of these values, by kind, namespace and name."""
    return _rendered(minor, *_set(values))


@functools.cache
def _rendered(minor: str, *options: str) -> Rendered:
    source = Charts(CiliumMesh.repository, os.environ[CHARTS]).resolve(CHART, newest(minor))
    text = ask("template", CHART, *source.arguments, f"--namespace={SYSTEM}", "--kube-version=1.34.0", *options)
    documents = [one for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in documents}


def newest(minor: str) -> str:
    """The newest release of a minor version that there is a chart of."""
    versions = [path.stem.removeprefix(f"{CHART}-") for path in Path(os.environ[CHARTS]).glob(f"{CHART}-{minor}.*.tgz")]
    return max((version for version in versions if "-" not in version), key=lambda one: int(one.split(".")[2]))


def _set(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    options = []
    for key, value in {**values, **({} if prefix else NOT_RENDERED)}.items():
        if isinstance(value, Mapping):
            options += _set(value, f"{prefix}{key}.")
        else:
            options.append(
                f"--set={prefix}{key}={SPELT.get(value, value) if value is None or isinstance(value, bool) else value}"
            )
    return options


@by_variant
def test_the_configuration_is_what_the_variant_looks_for(variant: Variant, minor: str) -> None:
    config = rendered(variant.values, minor)["ConfigMap", SYSTEM, CONFIG]["data"]
    assert conflicts(config, variant.settings) == []


@by_variant
def test_what_is_waited_for_is_part_of_the_chart(variant: Variant, minor: str) -> None:
    made = {(kind.lower() + "s", namespace, name) for kind, namespace, name in rendered(variant.values, minor)}
    for namespace, kind, name in (*ROLLOUTS, *variant.rollouts):
        assert (kind, namespace or SYSTEM, name) in made


@by_variant
def test_agents_reach_the_api_server_without_kube_proxy(variant: Variant, minor: str) -> None:
    agents = rendered(variant.values, minor)["DaemonSet", SYSTEM, "cilium"]
    environment = {one["name"]: one.get("value") for one in agents["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]) == (
        "kind-control-plane",
        "6443",
    )


@pytest.mark.parametrize("minor", MINORS)
def test_agents_and_proxies_follow_an_upgrade_once_their_pods_are_deleted(minor: str) -> None:
    made = rendered({**WIREGUARD.values, **ONE_BY_ONE}, minor)
    for name in ("cilium", "cilium-envoy"):
        assert made["DaemonSet", SYSTEM, name]["spec"]["updateStrategy"] == {"type": "OnDelete"}


@pytest.mark.parametrize("minor", MINORS)
def test_cilium_by_itself_is_what_linkerd_cannot_work_on(minor: str) -> None:
    config = rendered({"kubeProxyReplacement": True}, minor)["ConfigMap", SYSTEM, CONFIG]["data"]
    assert [found.split()[0] for found in conflicts(config, BELOW_LINKERD.settings)] == [
        "bpf-lb-sock-hostns-only",
        "cni-exclusive",
    ]


def test_a_cilium_without_ztunnel_takes_its_values_and_does_nothing() -> None:
    """Why the adapter refuses versions below 1.19 by itself."""
    config = rendered(ZTUNNEL.values, "1.18")["ConfigMap", SYSTEM, CONFIG]["data"]
    assert conflicts(config, ZTUNNEL.settings)


@pytest.mark.parametrize("variant", [IPSEC, ZTUNNEL], ids=lambda variant: variant.name)
def test_secrets_are_those_that_the_agents_mount(variant: Variant) -> None:
    names = {IPSEC: "cilium-ipsec-keys", ZTUNNEL: "cilium-ztunnel-secrets"}
    made = rendered(variant.values, "1.20")
    mounted = made["DaemonSet", SYSTEM, "cilium"]["spec"]["template"]["spec"]["volumes"]
    assert names[variant] in [volume.get("secret", {}).get("secretName") for volume in mounted]
    assert ("Secret", SYSTEM, names[variant]) not in made


def test_the_chart_refuses_routes_without_layer_7() -> None:
    with pytest.raises(HelmFailed):
        rendered({**WIREGUARD.values, "l7Proxy": False}, "1.20")
