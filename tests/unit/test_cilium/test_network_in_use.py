"""Cilium is not installed on top of a network that somebody uses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.cilium.adapter import spire, wireguard
from pytest_meshcheck.meshes.cilium.linkerd_on_cilium import LinkerdOnCilium
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.pki_archive import archived
from pytest_meshcheck.platforms.helm.installation import Installation
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef, KindRecipe
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from tests.object_store import Object, ObjectStore, cluster_of

from .conftest import NoHooks

pytestmark = pytest.mark.asyncio

REQUEST = MeshRequest(None, 1.0, NoHooks(), installed=True)
MESHES: dict[str, Callable[[MeshRequest], KubernetesMesh]] = {
    "cilium": wireguard,
    "cilium-spire": spire,
    "linkerd+cilium": LinkerdOnCilium,
}
SAID = (
    r"^node b is Ready, so the cluster already has a CNI plugin, which Cilium would replace permanently: test an "
    r"installed Cilium with --mesh-installed, or omit --mesh-context and --mesh-kubeconfig for a kind cluster of the "
    r"run's own$"
)


def node(name: str, ready: str) -> Object:
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def nodes(*ready: str) -> ObjectStore:
    return ObjectStore(nodes=[node(name, one) for name, one in zip("abc", ready, strict=False)])


def to_install(name: str) -> KubernetesMesh:
    """An adapter that installs, without charts."""
    mesh = MESHES[name](REQUEST)
    mesh.installed_by_run = True
    return mesh


class Reused(CiliumMesh):
    """A Cilium that is ready."""

    def __init__(self) -> None:
        super().__init__(REQUEST)
        self.installed_by_run = True

    async def ready(self, api: Api) -> None:
        """It is."""


@pytest.mark.parametrize("mesh", MESHES)
async def test_a_network_that_is_there_is_not_replaced(mesh: str, tmp_path: Path) -> None:
    async with cluster_of(nodes("False", "True"), tmp_path) as kubeconfig:
        api = await Api.connect(kubeconfig, None)
        with pytest.raises(MeshUnavailable, match=SAID):
            await to_install(mesh).look(api)
        await api.close()


@pytest.mark.parametrize("mesh", MESHES)
async def test_a_cluster_without_a_network_has_no_node_that_is_ready(mesh: str, tmp_path: Path) -> None:
    async with cluster_of(nodes("False", "Unknown"), tmp_path) as kubeconfig:
        api = await Api.connect(kubeconfig, None)
        await to_install(mesh).look(api)
        await api.close()


async def test_another_cilium_is_named(tmp_path: Path) -> None:
    store = nodes("True")
    store.objects["/api/v1/namespaces/kube-system/configmaps/cilium-config"] = {"metadata": {"name": "cilium-config"}}
    async with cluster_of(store, tmp_path) as kubeconfig:
        api = await Api.connect(kubeconfig, None)
        with pytest.raises(MeshUnavailable, match=r"^the cluster has a Cilium in kube-system already: test it with"):
            await to_install("cilium").look(api)
        await api.close()


OWN = {
    # cluster of the suite: its reference, without the kubeconfig
    "kept": ClusterRef("mine", "", "a cluster", "", "near", kept=True, recipe=KindRecipe()),
    "spare": ClusterRef("mine", "", "a cluster", "", "near", transient=True),
}


@pytest.mark.parametrize("own", OWN)
async def test_in_a_cluster_of_the_suite_it_may_be_replaced(own: str, tmp_path: Path) -> None:
    mesh = to_install("cilium")
    mesh.bind(Kubernetes(Journal(), OWN[own]))
    async with cluster_of(nodes("True"), tmp_path) as kubeconfig:
        api = await Api.connect(kubeconfig, None)
        await mesh.refuse_taken(api)
        await api.close()


@pytest.mark.parametrize(("run", "kept"), [("earlier", True), ("mine", False)], ids=["kept", "another-process"])
async def test_a_cilium_of_ours_is_reused_though_its_nodes_are_ready(run: str, kept: bool, tmp_path: Path) -> None:
    store, mesh = nodes("True"), Reused()
    async with cluster_of(store, tmp_path) as kubeconfig:
        platform = Kubernetes(Journal(), ClusterRef("mine", "", "a cluster", str(kubeconfig), "near", kept=kept))
        api = await platform.api()
        there = Installation(mesh.namespace, run, mesh.recipe(), ("cilium",), (), archived(mesh.authority).decode())
        await api.apply(there.secret)
        before = dict(store.objects)
        await mesh.install(platform)
        await platform.close()
    assert store.objects == before
