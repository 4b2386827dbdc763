"""The shop in the mesh."""

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_meshcheck.suite import ClusterError, MeshCluster

ASK = "import urllib.request as u; print(u.urlopen('http://shop.{}/orders/7', timeout=10).read().decode())"

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default }
spec: { mtls: { mode: STRICT } }
"""


def ask(mesh_cluster: MeshCluster, customer_in: str, shop: str) -> Any:
    """The response of the shop to a customer in another namespace."""
    exec_in_customer = ("exec", "deployment/customer", "-c", "customer", "--", "python3", "-c")
    return json.loads(mesh_cluster.kubectl(*exec_in_customer, ASK.format(shop), namespace=customer_in))


def test_a_customer_gets_an_order(mesh_cluster: MeshCluster, shop: str) -> None:
    assert ask(mesh_cluster, shop, shop) == {"number": 7, "state": "shipped"}


def test_the_shop_is_reached_from_this_machine(mesh_cluster: MeshCluster, shop: str) -> None:
    with (
        mesh_cluster.port_forward("service/shop", 80, namespace=shop) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/orders/1", timeout=10) as answer,
    ):
        assert json.load(answer)["number"] == 1


def test_the_shop_has_a_sidecar(mesh_cluster: MeshCluster, shop: str) -> None:
    if mesh_cluster.mesh not in {"istio", "linkerd"}:
        pytest.skip(f"{mesh_cluster.mesh} has no sidecars")
    names = "jsonpath={.items[*].spec['initContainers','containers'][*].name}"
    containers = mesh_cluster.kubectl("get", "pods", "-lapp=shop", "-o", names, namespace=shop).split()
    assert {"istio-proxy", "linkerd-proxy"} & set(containers)


def test_strangers_are_refused(
    mesh_cluster: MeshCluster, mesh_namespace: str, manifests: list[Mapping[str, Any]]
) -> None:
    if mesh_cluster.mesh != "istio":
        pytest.skip(f"a PeerAuthentication means nothing to {mesh_cluster.mesh}")
    mesh_cluster.apply(manifests, namespace=mesh_namespace)
    mesh_cluster.apply(STRICT, namespace=mesh_namespace)
    mesh_cluster.wait("deployment/customer", namespace=mesh_namespace)
    with mesh_cluster.namespace(enrolled=False) as outside:
        mesh_cluster.apply(manifests, namespace=outside)
        mesh_cluster.wait("deployment/customer", namespace=outside)
        with pytest.raises(ClusterError, match="Connection reset by peer"):
            ask(mesh_cluster, outside, mesh_namespace)
