"""A spare cluster has a run record and is always deleted; its inventory is complete."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.cleanup.run_records import OwnCluster, records
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef, KindRecipe
from pytest_meshcheck.platforms.kubernetes.api.server import Refused
from pytest_meshcheck.platforms.kubernetes.inventory import LISTING, Where, inventory
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.spare_cluster import kind_cluster, spare_cluster
from tests.programs import Programs

RECIPE = KindRecipe("node:v1", loaded=("probe:v1", "proxy:v1"))
KINDS_ON_NODES = ("interface ", "iptables rule ", "ip6tables rule ", "routing rule ", "set of addresses ", "file ")


def on_record() -> list[str]:
    """The clusters of living runs."""
    return [record.where.name for record in records()[0] if isinstance(record.where, OwnCluster)]


async def used(ends: BaseException | None = None) -> ClusterRef:
    async with kind_cluster(RECIPE, "probe:v1", Journal()) as cluster_ref:
        assert on_record() == [f"meshcheck-{cluster_ref.run}"]
        if ends is not None:
            raise ends
        return cluster_ref


@pytest.mark.usefixtures("records")
def test_a_spare_cluster_is_made_as_that_of_the_run_and_removed(programs: Programs) -> None:
    programs.add("kind", "")
    programs.add("docker", "")
    cluster_ref = asyncio.run(used())
    name = f"meshcheck-{cluster_ref.run}"
    created, *loaded, deleted, _listed = programs.called()
    assert created.startswith(f"kind create cluster --name {name} ")
    assert "--image node:v1" in created
    assert loaded == [f"kind load docker-image {image} --name {name}" for image in RECIPE.loaded]
    assert deleted.startswith(f"kind delete cluster --name {name} ")
    assert (cluster_ref.context, cluster_ref.image) == (f"kind-{name}", "probe:v1")
    assert not on_record()


@pytest.mark.usefixtures("records")
def test_a_spare_cluster_is_removed_after_a_failure(programs: Programs) -> None:
    programs.add("kind", "")
    programs.add("docker", "")
    with pytest.raises(Inconclusive, match="no webhook"):
        asyncio.run(used(Inconclusive("no webhook")))
    assert any(call.startswith("kind delete") for call in programs.called())
    assert not on_record()


@pytest.mark.usefixtures("records")
def test_a_spare_cluster_that_cannot_be_removed_stays_on_record(programs: Programs) -> None:
    programs.add("kind", '[ "$1" != delete ]')
    programs.add("docker", "[ $1 = rm ] || echo 0123")
    with pytest.raises(Inconclusive, match=r"is left: .*meshcheck clean"):
        asyncio.run(used())
    assert on_record()


@pytest.mark.usefixtures("records")
def test_a_cancelled_creation_is_waited_for_and_undone(programs: Programs, tmp_path: Path) -> None:
    begun, goes_on = tmp_path / "begun", tmp_path / "goes-on"
    programs.add("kind", f"[ $1 = create ] || exit 0; : > {begun}; while [ ! -e {goes_on} ]; do /bin/sleep 0.01; done")
    programs.add("docker", "")

    async def has_begun() -> bool:
        return begun.exists()

    async def cancel() -> None:
        using = asyncio.create_task(used())
        await converge(has_begun, bool, 30.0)
        using.cancel()
        goes_on.touch()
        with pytest.raises(asyncio.CancelledError):
            await using

    asyncio.run(cancel())
    created, *_, deleted, _listed = programs.called()
    assert (created.split()[1], deleted.split()[1]) == ("create", "delete")
    assert not on_record()


@pytest.mark.asyncio
async def test_there_is_none_where_there_is_no_cluster() -> None:
    platform = Processes(Journal())
    mesh = MeshUnderTest(EnvoyMesh(), platform)
    try:
        with pytest.raises(Unsupported, match="leave out --mesh-context"):
            async with spare_cluster(mesh):
                pass
    finally:
        mesh.stalls.pulse.end()
        await platform.close()


def test_what_is_set_up_on_a_node_is_listed_with_its_kind() -> None:
    listed = subprocess.run(["/bin/sh", "-c", LISTING], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "interface lo" in listed
    assert not [line for line in listed if not line.startswith(KINDS_ON_NODES)]


GET_AND_LIST = ["get", "list"]
CLUSTER = {
    "/api/v1/nodes": {"items": [], "metadata": {"resourceVersion": "1"}},
    "/apis": {"groups": [{"preferredVersion": {"groupVersion": version}} for version in ("mesh.io/v1", "gone.io/v1")]},
    "/api/v1": {
        "resources": [
            {"name": "configmaps", "kind": "ConfigMap", "verbs": GET_AND_LIST},
            {"name": "pods", "kind": "Pod", "verbs": GET_AND_LIST},
            {"name": "bindings", "kind": "Binding", "verbs": ["create"]},
        ]
    },
    "/api/v1/configmaps": {"items": [{"metadata": {"namespace": "default", "name": "roots"}}]},
    "/apis/mesh.io/v1": {"resources": [{"name": "hooks", "kind": "Hook", "verbs": GET_AND_LIST}]},
    "/apis/mesh.io/v1/hooks": {"items": [{"metadata": {"name": "injector"}}]},
}


class Listing:
    """An API server that serves a definition only when it is asked a second time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def patiently(self, _method: str, path: str) -> object:
        self.asked.append(path)
        if path == "/apis/mesh.io/v1/hooks" and self.asked.count(path) == 1:
            raise Refused(429, "storage is (re)initializing")
        if path not in CLUSTER:
            raise Refused(404, "not found")
        return CLUSTER[path]

    async def items(self, path: str) -> tuple[object, str]:
        return CLUSTER[path]["items"], "1"


@pytest.mark.asyncio
async def test_resources_are_listed_but_for_those_that_come_and_go() -> None:
    assert await inventory(Listing()) == {  # type: ignore[arg-type]
        Where.CLUSTER: {"Hook injector"},
        Where.NAMESPACES: {"ConfigMap default/roots"},
        Where.NODES: frozenset(),
    }
