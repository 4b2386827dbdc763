"""What is read from the configuration of an installed Cilium, and from values for its chart."""

from typing import Any

import pytest

from pytest_meshcheck.meshes.cilium.adapter import spire, wireguard, ztunnel
from pytest_meshcheck.meshes.cilium.installed import complete, minor, refuse_nameless, version_of
from pytest_meshcheck.meshes.cilium.settings import FOR_LINKERD, conflicts, contradicted
from pytest_meshcheck.meshes.cilium.variants import IPSEC, SPIRE, WIREGUARD, ZTUNNEL, Variant
from pytest_meshcheck.meshes.registry import Factory
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.helm.values import overrides
from pytest_meshcheck.platforms.kubernetes.access.permissions import ADMINISTRATOR

from .conftest import Judged

REPLACED = {"kube-proxy-replacement": "true", "bpf-lb-sock": "false", "cni-exclusive": "false"}
HOST_ONLY = {"bpf-lb-sock-hostns-only": "true"}


def test_what_linkerd_needs() -> None:
    assert conflicts(REPLACED | HOST_ONLY, FOR_LINKERD) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (REPLACED, ["bpf-lb-sock-hostns-only is (not set), wanted is true: connections to a service go to a pod's"]),
        (REPLACED | {"bpf-lb-sock-hostns-only": "false"}, ["bpf-lb-sock-hostns-only is false, wanted is true"]),
        (
            {"kube-proxy-replacement": "false", "bpf-lb-sock": "true", "cni-exclusive": "false"},
            ["bpf-lb-sock-hostns-only is (not set)"],
        ),
        (REPLACED | HOST_ONLY | {"cni-exclusive": "true"}, ["cni-exclusive is true, wanted is false"]),
        ({"kube-proxy-replacement": "true"}, ["bpf-lb-sock-hostns-only is", "cni-exclusive is (not set)"]),
    ],
)
def test_each_conflict_names_setting_value_and_wanted_value(config: dict[str, str], said: list[str]) -> None:
    found = conflicts(config, FOR_LINKERD)
    assert len(found) == len(said)
    for conflict, begin in zip(found, said, strict=True):
        assert conflict.startswith(begin)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, []),
        ({"cilium": {"cni": {"exclusive": False}, "socketLB": {"hostNamespaceOnly": True}}}, []),
        ({"cilium": {"cni": {"exclusive": True}}}, ["cni.exclusive is true, wanted is false: Cilium disables"]),
        ({"cilium": {"socketLB": {"hostNamespaceOnly": "false"}}}, ["socketLB.hostNamespaceOnly is false, wanted is"]),
        ({"*": {"cni": {"exclusive": True}}}, ["cni.exclusive is true"]),
        ({"*": {"cni": {"exclusive": True}}, "cilium": {"cni": {"exclusive": False}}}, []),
        ({"linkerd-control-plane": {"cni": {"exclusive": True}}, "cilium": {"cni": "none"}}, []),
    ],
)
def test_values_that_contradict_what_linkerd_needs(values: dict[str, dict[str, Any]], said: list[str]) -> None:
    found = list(contradicted(overrides(values, "cilium"), FOR_LINKERD))
    assert len(found) == len(said)
    for message, begin in zip(found, said, strict=True):
        assert message.startswith(begin)


def test_a_conflict_says_what_to_do() -> None:
    (found,) = conflicts(REPLACED, FOR_LINKERD)
    assert found.endswith(
        "set socketLB.hostNamespaceOnly=true in Cilium's chart "
        "(https://linkerd.io/2/reference/cluster-configuration/#cilium)"
    )


def test_without_socket_load_balancing_kube_proxy_leaves_services_to_linkerd() -> None:
    config = {"kube-proxy-replacement": "false", "bpf-lb-sock": "false", "cni-exclusive": "false"}
    assert conflicts(config, FOR_LINKERD) == []


CONFIGURED = {
    # variant: a configuration that it finds nothing wrong with
    WIREGUARD: {"enable-wireguard": "true", "enable-gateway-api": "true"},
    IPSEC: {"enable-ipsec": "true", "enable-gateway-api": "true"},
    SPIRE: {"mesh-auth-mutual-enabled": "true", "enable-gateway-api": "true"},
    ZTUNNEL: {"enable-ztunnel": "true"},
}


@pytest.mark.parametrize("variant", [WIREGUARD, IPSEC, SPIRE, ZTUNNEL], ids=lambda variant: variant.name)
def test_a_variant_takes_no_other_for_itself(variant: Variant) -> None:
    assert conflicts(CONFIGURED[variant], variant.settings) == []
    for other, config in CONFIGURED.items():
        if other is not variant:
            assert conflicts(config, variant.settings)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("quay.io/cilium/cilium:v1.20.0@sha256:00ff", "1.20.0"),
        ("registry.example:5000/cilium/cilium:v1.19.6", "1.19.6"),
        ("quay.io/cilium/cilium:v1.20.0-rc.1", "1.20.0-rc.1"),
    ],
)
def test_version_of_an_image(image: str, version: str) -> None:
    assert version_of(image) == version
    assert minor(version) == version[:4]


def test_an_image_without_a_version() -> None:
    image = "quay.io/cilium/cilium:latest"
    assert version_of(image) == ""
    with pytest.raises(MeshUnavailable, match="cilium:latest has no version in its tag"):
        refuse_nameless(image)


DAEMONS = {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 3}
REPLICAS = {"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1}


@pytest.mark.parametrize(
    ("status", "done"),
    [
        (DAEMONS, True),
        (DAEMONS | {"numberReady": 2}, False),
        (DAEMONS | {"updatedNumberScheduled": 1}, False),
        (DAEMONS | {"observedGeneration": 1}, False),
        (DAEMONS | {"desiredNumberScheduled": 0, "numberReady": 0, "updatedNumberScheduled": 0}, False),
        (REPLICAS, True),
        (REPLICAS | {"readyReplicas": 0}, False),
        ({}, False),
    ],
)
def test_rolled_out(status: dict[str, int], done: bool) -> None:
    assert complete({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}) is done


def test_pods_that_follow_when_they_are_deleted_are_rolled_out_once_they_are_ready() -> None:
    status = {"observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3, "updatedNumberScheduled": 1}
    rolling: dict[str, Any] = {"metadata": {"generation": 2}, "spec": {}, "status": status}
    assert not complete(rolling)
    assert complete({**rolling, "spec": {"updateStrategy": {"type": "OnDelete"}}})
    assert not complete(
        {**rolling, "spec": {"updateStrategy": {"type": "OnDelete"}}, "status": {**status, "numberReady": 2}}
    )


def test_each_asks_only_for_what_it_makes(judged: Judged) -> None:
    meshes = (wireguard, ztunnel, spire)
    asked = {factory: {one.resource for one in judged(factory).permissions} for factory in meshes}
    assert asked[wireguard] - asked[ztunnel] == {"httproutes", "networkpolicies", "pods"}
    assert asked[spire] - asked[wireguard] == {"ciliumnetworkpolicies", "ciliumendpoints"}
    assert "secrets" not in asked[wireguard]


@pytest.mark.parametrize("factory", [wireguard, spire])
def test_a_run_that_installs_it_asks_for_an_administrator(factory: Factory, judged: Judged) -> None:
    mesh = judged(factory)
    mesh.installed_by_run = True
    assert ADMINISTRATOR in mesh.permissions
