"""What is refused of manifests before anything of them is made in a cluster."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.objects import Place
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Refused
from pytest_meshcheck.testbed.trial.resources import placed, refuse_invalid, refuse_taken

pytestmark = pytest.mark.asyncio

RETRIES = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: orders, namespace: shop}\n"
STRICT = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: istio-system}\n"
OBJECTS = objects_in([Text("k8s.yaml", f"{RETRIES}---\n{STRICT}")])


class Cluster:
    """An API server that has some objects, and refuses what it is asked to try."""

    def __init__(self, *there: str, refusal: Exception | None = None) -> None:
        self.there = there
        self.refusal = refusal
        self.tried: list[Mapping[str, Any]] = []

    async def has(self, manifest: Mapping[str, Any]) -> bool:
        return manifest["metadata"]["name"] in self.there

    async def try_to_create(self, manifest: Mapping[str, Any]) -> None:
        self.tried.append(manifest)
        if self.refusal is not None:
            raise self.refusal


def api(cluster: Cluster) -> Api:
    return cast("Api", cluster)


async def test_a_namespace_that_exists_is_refused_where_it_is_named() -> None:
    with pytest.raises(ManifestError, match=r"^k8s\.yaml:3: the namespace shop exists in the cluster already"):
        await refuse_taken(api(Cluster("shop")), {"shop": Place("k8s.yaml", 3)}, [])


async def test_a_policy_that_exists_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"^k8s\.yaml:5: PeerAuthentication istio-system/a exists in the cluster"):
        await refuse_taken(api(Cluster("a")), {"shop": Place("k8s.yaml", 3)}, OBJECTS[1:])


REJECTED = {
    # case: what the server says, what the user reads
    "field": (
        Refused(400, 'strict decoding error:\n unknown field "spec.htp"'),
        r'k8s\.yaml:1: VirtualService shop/orders is rejected: strict decoding error: unknown field "spec.htp"$',
    ),
    "no-kind": (
        Inconclusive("the cluster knows no VirtualService of networking.istio.io/v1: is its definition installed?"),
        r"k8s\.yaml:1: VirtualService shop/orders: the cluster knows no VirtualService of networking\.istio\.io/v1: ",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_a_resource_that_the_server_rejects_is_refused_with_its_line(case: str) -> None:
    refusal, said = REJECTED[case]
    with pytest.raises(ManifestError, match=f"^{said}"):
        await refuse_invalid(api(Cluster(refusal=refusal)), OBJECTS[:1], "istio-system")


async def test_a_name_that_is_taken_in_the_namespace_of_the_dry_run_was_valid() -> None:
    cluster = Cluster(refusal=Refused(409, "already exists"))
    await refuse_invalid(api(cluster), OBJECTS, "istio-system")
    assert [one["metadata"]["namespace"] for one in cluster.tried] == ["default", "istio-system"]


async def test_what_is_applied_bears_the_labels_of_the_run_beside_its_own() -> None:
    made = placed({"metadata": {"name": "a", "labels": {"b": "c"}}, "spec": {}}, "shop", {"meshcheck.dev/run": "r"})
    assert made["metadata"] == {"name": "a", "namespace": "shop", "labels": {"b": "c", "meshcheck.dev/run": "r"}}
