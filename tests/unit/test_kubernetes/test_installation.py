"""The removal of an installation deletes its own definitions, and keeps the pre-existing ones."""

from typing import Any

import pytest
from aiohttp import web

from pytest_meshcheck.platforms.helm.installation import (
    DEFINITIONS,
    NAMESPACES,
    OURS,
    RELEASE,
    RELEASE_NAMESPACE,
    Installation,
    foreign_definitions,
    remove,
)
from tests.serving import client_of

pytestmark = pytest.mark.asyncio
HOME = "istio-system"
OF_CHART = {RELEASE: "istio-base", RELEASE_NAMESPACE: HOME}
OF_ANOTHER = OF_CHART | {RELEASE_NAMESPACE: "mesh"}
INSTALLATION = Installation(HOME, "c0ffee", "", ("istio-base",), ("cilium.io",), "")

DEFINED = {
    # name: annotations, labels, and whether it came with the installation
    "gateways.networking.istio.io": (OF_CHART, {}, True),
    "sidecars.networking.istio.io": (OF_ANOTHER, {}, False),
    "ciliumnodes.cilium.io": ({}, {}, True),
    "tracingpolicies.cilium.io": ({}, {}, False),
    "httproutes.gateway.networking.k8s.io": ({}, OURS, True),
    "certificates.cert-manager.io": ({}, {}, False),
}
KINDS = {
    # path of a group: its resource, as a path and as a kind
    "/api/v1": ("namespaces", "Namespace"),
    "/apis/apiextensions.k8s.io/v1": ("customresourcedefinitions", "CustomResourceDefinition"),
}
BEFORE = {"sidecars.networking.istio.io", "tracingpolicies.cilium.io", "certificates.cert-manager.io"}


class Cluster:
    """An API server with definitions, which records deletions; also a Helm that uninstalls nothing."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.deleted: set[str] = set()

    async def uninstall(self, _name: str, _namespace: str, *, wait: float) -> None:
        """No chart is there."""

    async def list_definitions(self, _request: web.Request) -> web.Response:
        found = [
            {
                "metadata": {"name": name, "annotations": dict(DEFINED[name][0]), "labels": dict(DEFINED[name][1])},
                "spec": {"group": name.partition(".")[2]},
            }
            for name in self.names
        ]
        return listed(found)

    async def list_namespaces(self, request: web.Request) -> web.StreamResponse:
        return web.Response() if "watch" in request.query else listed([])

    async def delete(self, request: web.Request) -> web.Response:
        self.deleted.add(request.match_info["name"])
        return web.json_response({})


def listed(items: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"items": items, "metadata": {"resourceVersion": "1"}})


def served(cluster: Cluster) -> web.Application:
    app = web.Application()
    app.router.add_get(DEFINITIONS, cluster.list_definitions)
    app.router.add_get(NAMESPACES, cluster.list_namespaces)
    app.router.add_delete(f"{DEFINITIONS}/{{name}}", cluster.delete)
    app.router.add_delete(f"{NAMESPACES}/{{name}}", cluster.delete)
    for path in KINDS:
        app.router.add_get(path, discover)
    return app


async def discover(request: web.Request) -> web.Response:
    name, kind = KINDS[request.path]
    return web.json_response({"resources": [{"name": name, "kind": kind, "namespaced": False}]})


async def test_definitions_of_others_stay() -> None:
    before, after = Cluster(*BEFORE), Cluster(*DEFINED)
    async with client_of(served(before)) as api:
        foreign = await foreign_definitions(api)
    assert foreign == BEFORE
    installation = Installation(**vars(INSTALLATION) | {"foreign": foreign})
    async with client_of(served(after)) as api:
        await remove(api, after, installation, patience=5.0)  # type: ignore[arg-type]
    assert after.deleted == {HOME, *(name for name, (*_, came) in DEFINED.items() if came)}


async def test_a_release_of_the_same_name_in_another_namespace_is_another_one() -> None:
    cluster = Cluster("gateways.networking.istio.io", "sidecars.networking.istio.io")
    async with client_of(served(cluster)) as api:
        await remove(api, cluster, INSTALLATION, patience=5.0)  # type: ignore[arg-type]
    assert cluster.deleted == {HOME, "gateways.networking.istio.io"}
