"""The order in which a trial is made in a cluster, and that nothing of it stays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.plan import Configured, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from pytest_meshcheck.testbed.trial.stand_ins import StandIns, has_data_plane

pytestmark = pytest.mark.asyncio

SHOP = (Path(__file__).parent / "shop.yaml").read_text("utf-8")
ROOT = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: istio-system}\n"
NAMELESS = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: batch}\nspec: {containers: []}\n"
ISTIO = Configured("istio", ("networking.istio.io", "security.istio.io"), "istio-system")


class Cluster:
    """A platform and its API server that keep what they were asked for."""

    owner = Ownership("c0ffee", "", "image")

    def __init__(self, *there: str) -> None:
        self.there = there
        self.asked: list[str] = []
        self.started: dict[str, tuple[WorkloadSpec, Metadata]] = {}
        self.namespaces: list[str] = []

    async def api(self) -> "Cluster":
        return self

    def namespace(self, plain: str) -> str:
        return self.owner.namespace(plain)

    async def until(self, *_asked: object) -> None:
        """Nothing is left of an earlier mesh."""

    async def has(self, manifest: Manifest) -> bool:
        return manifest["metadata"]["name"] in self.there

    async def try_to_create(self, manifest: Manifest) -> None:
        self.asked.append(f"try {manifest['kind']}")

    async def refuse_beyond(self, *_asked: object) -> None:
        """There is room."""

    async def create_namespace(self, name: str, labels: Mapping[str, str], _annotations: object) -> None:
        self.asked.append(f"create {name} {dict(labels)}")
        self.namespaces.append(name)

    async def apply(self, manifests: Sequence[Manifest] | Manifest) -> Any:
        listed = [manifests] if isinstance(manifests, Mapping) else manifests
        self.asked += [
            f"apply {one['kind']} {one['metadata']['namespace']}/{one['metadata']['name']}" for one in listed
        ]
        return {"spec": {"clusterIP": "10.0.0.9"}}

    async def start(self, spec: WorkloadSpec, metadata: Metadata) -> Any:
        self.asked.append(f"start {spec}")
        self.started[str(spec)] = spec, metadata
        return SimpleNamespace(spec=spec)

    async def delete(self, manifests: Sequence[Manifest]) -> None:
        self.asked += [f"delete {one['kind']} {one['metadata']['name']}" for one in manifests]


class Adapter:
    """A mesh that enrols namespaces by a label."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def namespace_enrolment(self) -> Metadata:
        return Metadata({"mesh": "on"})

    def enrolment(self, _spec: WorkloadSpec) -> Metadata:
        return Metadata()

    async def settled(self) -> None:
        self.cluster.asked.append("settled")


def trial(cluster: Cluster) -> StandIns:
    objects = objects_in([Text("shop.yaml", SHOP + NAMELESS + ROOT)])
    adapter = cast("Mesh", Adapter(cluster))
    return StandIns(adapter, cast("Kubernetes", cluster), plan(objects, ISTIO), "istio-system")


async def test_policies_come_after_the_stand_ins_that_they_are_about() -> None:
    cluster = Cluster()
    await trial(cluster).begin()
    at = cluster.asked.index
    assert at("try VirtualService") < at("create shop {'istio-injection': 'enabled'}")
    assert at("create own-c0ffee {'mesh': 'on'}") < at("apply ServiceAccount shop/orders") < at("start shop/orders")
    assert at("start shop/orders.2") < at("apply VirtualService shop/orders") < at("settled") == len(cluster.asked) - 1
    assert {"start own-c0ffee/batch", "start outsiders-c0ffee/outsider", "start strangers-c0ffee/stranger"} <= set(
        cluster.asked
    )
    spec, metadata = cluster.started["shop/orders"]
    assert (metadata.labels, metadata.namespace_labels) == (
        {"app": "orders", "version": "v1"},
        {"istio-injection": "enabled"},
    )
    assert [(port.name, port.number) for port in spec.ports] == [("web", 8080), ("port-9090", 9090)]


async def test_nothing_is_made_where_a_namespace_exists() -> None:
    cluster = Cluster("shop")
    with pytest.raises(ManifestError, match=r"^shop\.yaml:1: the namespace shop exists"):
        await trial(cluster).begin()
    assert cluster.asked == []


async def test_all_that_was_made_is_removed_and_nothing_else() -> None:
    cluster = Cluster()
    begun = trial(cluster)
    await begun.begin()
    del cluster.asked[:]
    await begun.close()
    assert cluster.asked == ["delete PeerAuthentication a", "delete Namespace shop", "delete Namespace own-c0ffee"]


async def test_a_trial_that_was_refused_removes_nothing_that_it_did_not_make() -> None:
    cluster = Cluster("a")
    begun = trial(cluster)
    with pytest.raises(ManifestError, match="PeerAuthentication istio-system/a exists"):
        await begun.begin()
    await begun.close()
    assert cluster.asked == []


@pytest.mark.parametrize(
    ("spec", "has"),
    [
        ({"containers": [{"name": "probe"}]}, False),
        ({"containers": [{"name": "probe"}, {"name": "istio-proxy"}]}, True),
        ({"containers": [{"name": "probe"}], "initContainers": [{"name": "istio-proxy"}]}, True),
    ],
)
async def test_a_pod_with_more_than_its_probe_has_a_data_plane(spec: dict[str, Any], has: bool) -> None:
    assert has_data_plane({"spec": spec}) is has
