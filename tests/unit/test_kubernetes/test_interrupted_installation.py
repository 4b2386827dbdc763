"""An installation that is interrupted before any chart is there leaves nothing, and is known for what it is."""

import asyncio
import json
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.istio.http_route import HttpRouteMesh
from pytest_meshcheck.meshes.kubernetes.gateway_api import ROUTES
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.helm.helm import Helm
from pytest_meshcheck.platforms.helm.installation import Installation, installed_by, remove
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from tests.object_store import Object, ObjectStore, cluster_of
from tests.programs import Programs

pytestmark = pytest.mark.asyncio

SYSTEM = "/api/v1/namespaces/istio-system"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FIRST = "a.gateway.networking.k8s.io"
BEGUN = Installation("istio-system", "dead", recipe="", releases=(), groups=(), authority="")


class Mesh(HttpRouteMesh):
    """Istio with HTTPRoutes, ready once its charts are installed; also removes what its control plane would define."""

    groups = ("mesh.example",)

    async def ready(self, api: Api) -> None:
        """It is."""


def definition(name: str, **labels: str) -> Object:
    """A definition that the API server serves."""
    schema = {"properties": {"spec": {"properties": {"rules": {"items": {"properties": {"retry": {}}}}}}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "uid": name, "labels": labels},
        "spec": {"group": name.partition(".")[2], "versions": [{"schema": {"openAPIV3Schema": schema}}]},
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


@pytest.fixture
def mesh(programs: Programs, tmp_path: Path) -> Mesh:
    """An adapter with charts and definitions in a directory, and a helm that does nothing."""
    programs.add("helm", "echo v3.19.5")
    for chart in ("base", "istiod"):
        folder = tmp_path / "charts" / chart
        folder.mkdir(parents=True)
        (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {chart}\nversion: 1.30.3\n")
    folder = tmp_path / "charts" / "gateway-api"
    folder.mkdir()
    for number, name in enumerate((FIRST, ROUTES)):
        (folder / f"{number}.yaml").write_text(json.dumps(definition(name)))
    return Mesh(MeshRequest(None, 1.0, None, charts=str(tmp_path / "charts")))  # type: ignore[arg-type]


def cluster_ref(kubeconfig: Path, run: str = "mine") -> ClusterRef:
    return ClusterRef(run, "", "a cluster", str(kubeconfig), "near")


def begun(run: str = "dead") -> ObjectStore:
    """A cluster with the namespace of an interrupted run."""
    labels = {"app.kubernetes.io/managed-by": "meshcheck", "meshcheck.dev/installed-by": run}
    return ObjectStore(namespaces=[{"metadata": {"name": "istio-system", "uid": "1", "labels": labels}}])


async def begin(store: ObjectStore, kubeconfig: Path, mesh: Mesh) -> None:
    """Begin an installation, and interrupt it while the object that the store holds is applied."""
    platform = Kubernetes(Journal(), cluster_ref(kubeconfig))
    installing = asyncio.create_task(mesh.install(platform))
    held = asyncio.create_task(store.has_held.wait())
    await asyncio.wait([installing, held], return_when=asyncio.FIRST_COMPLETED)
    installing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await installing
    await platform.close()
    store.held = ""


@pytest.mark.parametrize("loses", [False, True], ids=["kept", "lost"])
@pytest.mark.parametrize("held", [SYSTEM, f"{SYSTEM}/secrets/meshcheck", f"{DEFINITIONS}/{FIRST}"])
async def test_uninstallation_leaves_nothing(held: str, loses: bool, mesh: Mesh, tmp_path: Path) -> None:
    store = ObjectStore()
    store.held, store.loses = held, loses
    async with cluster_of(store, tmp_path) as kubeconfig:
        await begin(store, kubeconfig, mesh)
        assert (held in store.objects) is not loses
        await mesh.uninstall_from(cluster_ref(kubeconfig))
    assert not store.objects


async def test_the_namespace_of_an_interrupted_run_is_said_to_be_its_own(mesh: Mesh, tmp_path: Path) -> None:
    store = begun()
    async with cluster_of(store, tmp_path) as kubeconfig:
        api = await Api.connect(kubeconfig, None)
        with pytest.raises(
            MeshUnavailable, match=r"was installed by run dead.* or with kubectl delete namespace istio-"
        ):
            await mesh.look(api)
        await mesh.uninstall_from(cluster_ref(kubeconfig))
        assert SYSTEM in store.objects, "it is another run's"
        assert await installed_by(api, "dead") == [BEGUN]
        await remove(api, Helm(kubeconfig, "near"), BEGUN, 5.0)
        await api.close()
    assert not store.objects


async def test_what_is_not_there_yet_is_not_removed(tmp_path: Path) -> None:
    labels = {"app.kubernetes.io/managed-by": "meshcheck"}
    store = begun()
    store.objects[f"{DEFINITIONS}/{ROUTES}"] = definition(ROUTES, **labels)
    async with cluster_of(store, tmp_path) as kubeconfig:
        api = await Api.connect(kubeconfig, None)
        await remove(api, Helm(kubeconfig, "near"), BEGUN, 5.0)
        await api.close()
    assert [*store.objects] == [f"{DEFINITIONS}/{ROUTES}"], "it belongs to another installation"


async def test_a_namespace_of_others_stays(mesh: Mesh, tmp_path: Path) -> None:
    store = ObjectStore(namespaces=[{"metadata": {"name": "istio-system", "labels": {"team": "network"}}}])
    async with cluster_of(store, tmp_path) as kubeconfig:
        platform = Kubernetes(Journal(), cluster_ref(kubeconfig))
        with pytest.raises(MeshUnavailable, match="a namespace istio-system that the suite did not create"):
            await mesh.install(platform)
        await platform.close()
        await mesh.uninstall_from(cluster_ref(kubeconfig))
    assert [*store.objects] == [SYSTEM]


async def test_another_process_of_the_run_goes_on(mesh: Mesh, tmp_path: Path) -> None:
    store, theirs = begun("mine"), f"{DEFINITIONS}/gadgets.mesh.example"
    store.objects[theirs] = definition("gadgets.mesh.example")
    async with cluster_of(store, tmp_path) as kubeconfig:
        platform = Kubernetes(Journal(), cluster_ref(kubeconfig))
        await mesh.install(platform)
        await platform.close()
        assert {f"{SYSTEM}/secrets/meshcheck", f"{SYSTEM}/secrets/cacerts", f"{DEFINITIONS}/{ROUTES}"} <= {
            *store.objects
        }
        await mesh.uninstall_from(cluster_ref(kubeconfig))
    assert [*store.objects] == [theirs]
