"""Rotation of Istio's roots, against a fake API server: first in istiod, then in the pods of runs."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from pytest_meshcheck.meshes.base import Rotation, rotate_authority
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.istio.roots import ROOTS
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from tests.serving import client_of

pytestmark = pytest.mark.asyncio
SYSTEM, BLUE, GREY = "istio-system", "blue-1", "grey-1"
PODS = {SYSTEM: ("istiod",), BLUE: ("client", "ended"), GREY: ("outsider",)}
LATE = 2
"""How often the roots of a namespace are read before istiod has announced the new ones there."""


class Cluster:
    """Istiod announces roots once its pod has an annotation, in each namespace late, and in the last one never."""

    api: Api

    def __init__(self, mesh: IstioMesh) -> None:
        self.mesh = mesh
        self.announced = mesh.authority.bundle().decode()
        self.reads = dict.fromkeys((SYSTEM, BLUE), 0)
        self.touched: dict[str, str] = {}
        self.denied: str = ""
        self.ignores = False

    async def rotate(self, what: Rotation) -> None:
        rotate_authority(self.mesh.authority, what)
        await self.mesh.rotated(self.api, what)

    def roots_in(self, namespace: str) -> str:
        is_new = "istiod" in self.touched and self.reads[namespace] > LATE and not self.ignores
        return self.mesh.authority.bundle().decode() if is_new else self.announced

    async def list_namespaces(self, request: web.Request) -> web.Response:
        assert request.query["labelSelector"] == "meshcheck.dev/run"
        return listed([BLUE, GREY])

    async def list_pods(self, request: web.Request) -> web.Response:
        return listed(PODS[request.match_info["namespace"]])

    async def read_roots(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        if namespace not in self.reads:
            return web.json_response({"message": "not found"}, status=404)
        self.reads[namespace] += 1
        return web.json_response({"data": {"root-cert.pem": self.roots_in(namespace)}})

    async def change_pod(self, request: web.Request) -> web.Response:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        if name in ("ended", self.denied):
            return web.json_response({"message": "no"}, status=404 if name == "ended" else 403)
        assert json.loads(await request.read())["metadata"]["annotations"].keys() == {"meshcheck.dev/rotated"}
        self.touched[name] = self.roots_in(namespace) if namespace in self.reads else ""
        return web.json_response({})


def listed(names: Sequence[str]) -> web.Response:
    items: list[dict[str, Any]] = [{"metadata": {"name": name}} for name in names]
    return web.json_response({"items": items, "metadata": {"resourceVersion": "1"}})


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[Cluster]:
    mesh, app = IstioMesh(MeshRequest(None, 1.0, None, installed=True)), web.Application()  # type: ignore[arg-type]
    mesh.bind(Kubernetes(Journal(), ClusterRef("1", "", "a cluster", "", "near")))
    one = Cluster(mesh)
    app.router.add_get("/api/v1/namespaces", one.list_namespaces)
    app.router.add_get("/api/v1/namespaces/{namespace}/pods", one.list_pods)
    app.router.add_get(f"/api/v1/namespaces/{{namespace}}/configmaps/{ROOTS}", one.read_roots)
    app.router.add_patch("/api/v1/namespaces/{namespace}/pods/{name}", one.change_pod)
    async with client_of(app) as one.api:
        yield one


async def test_pods_mount_new_roots_once_their_namespace_has_them(cluster: Cluster) -> None:
    await cluster.rotate(Rotation.ROOT_ADD)
    assert cluster.touched["client"] == cluster.mesh.authority.bundle().decode() != cluster.announced
    assert "outsider" in cluster.touched, "istiod announces nothing in its namespace, which is no reason to wait"


async def test_an_istiod_that_ignores_new_roots_is_left_to_the_check(cluster: Cluster) -> None:
    cluster.ignores, cluster.mesh.scale = True, 0.01
    await cluster.rotate(Rotation.ROOT_ADD)
    (entry,) = cluster.mesh.platform.journal.entries
    assert (entry.kind, entry.subject) == ("roots not announced", Rotation.ROOT_ADD)
    assert [*cluster.touched] == ["istiod"]


async def test_an_issuer_concerns_istiod_alone(cluster: Cluster) -> None:
    await cluster.rotate(Rotation.ISSUER)
    assert [*cluster.touched] == ["istiod"]


async def test_a_pod_that_may_not_be_changed_is_named(cluster: Cluster) -> None:
    cluster.denied = "client"
    with pytest.raises(Inconclusive, match=r"rejects a change of /api/v1/namespaces/blue-1/pods/client: 403"):
        await cluster.rotate(Rotation.ROOT_ADD)
