"""Deployments that are scaled to zero for a while, against an API server that keeps what is changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from pytest_meshcheck.meshes.kubernetes.outages import REPLICAS, scale_back, scaled_to_zero
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from tests.serving import client_of

pytestmark = pytest.mark.asyncio
DEPLOYMENTS = "/apis/apps/v1/namespaces/linkerd/deployments"
PODS = "/api/v1/namespaces/linkerd/pods"


class Cluster:
    """One deployment with its pod, which ends when it is deleted."""

    def __init__(self, replicas: int) -> None:
        labels = {"component": "identity"}
        self.deployment: dict[str, Any] = {
            "metadata": {"name": "linkerd-identity", "uid": "1", "annotations": {"other": "kept"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}},
        }
        self.pods = [{"metadata": {"name": f"identity-{one}", "uid": f"p{one}"}} for one in range(replicas)]
        self.asked: list[str] = []
        self.failures = 0

    @property
    def replicas(self) -> int:
        return int(self.deployment["spec"]["replicas"])

    @property
    def noted(self) -> str | None:
        found: str | None = self.deployment["metadata"]["annotations"].get(REPLICAS)
        return found

    async def read(self, request: web.Request) -> web.Response:
        return web.json_response(self.deployment)

    async def change(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        change = json.loads(await request.read())
        if self.failures:
            self.failures -= 1
            return web.json_response({"message": "etcdserver: request timed out"}, status=500)
        self.deployment["spec"] |= change["spec"]
        annotations = self.deployment["metadata"]["annotations"] | change["metadata"]["annotations"]
        self.deployment["metadata"]["annotations"] = {key: one for key, one in annotations.items() if one is not None}
        return web.json_response(self.deployment)

    async def list_deployments(self, _request: web.Request) -> web.Response:
        return web.json_response({"items": [self.deployment], "metadata": {"resourceVersion": "1"}})

    async def list_pods(self, request: web.Request) -> web.Response:
        self.asked.append(request.query["labelSelector"])
        return web.json_response({"items": self.pods, "metadata": {"resourceVersion": "1"}})

    async def delete_pod(self, request: web.Request) -> web.Response:
        assert request.query["gracePeriodSeconds"] == "0"
        assert self.replicas == 0, "the pod would come back"
        self.pods = [one for one in self.pods if one["metadata"]["name"] != request.match_info["name"]]
        return web.json_response({})

    async def kinds(self, _request: web.Request) -> web.Response:
        return web.json_response({"resources": [{"name": "pods", "kind": "Pod", "namespaced": True}]})


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[tuple[Cluster, Api]]:
    one, app = Cluster(replicas=2), web.Application()
    app.router.add_get(DEPLOYMENTS, one.list_deployments)
    app.router.add_get(f"{DEPLOYMENTS}/linkerd-identity", one.read)
    app.router.add_patch(f"{DEPLOYMENTS}/linkerd-identity", one.change)
    app.router.add_get(PODS, one.list_pods)
    app.router.add_delete(PODS + "/{name}", one.delete_pod)
    app.router.add_get("/api/v1", one.kinds)
    async with client_of(app) as api:
        yield one, api


async def test_nothing_runs_meanwhile_and_as_much_as_before_does_afterwards(cluster: tuple[Cluster, Api]) -> None:
    one, api = cluster
    async with scaled_to_zero(api, "linkerd", ["linkerd-identity"], 1.0):
        assert (one.replicas, one.noted, one.pods) == (0, "2", [])
    assert (one.replicas, one.noted) == (2, None)
    assert one.deployment["metadata"]["annotations"] == {"other": "kept"}
    assert set(one.asked) == {"component=identity"}


async def test_a_server_that_fails_for_a_moment_is_asked_again_to_scale_back(cluster: tuple[Cluster, Api]) -> None:
    one, api = cluster
    async with scaled_to_zero(api, "linkerd", ["linkerd-identity"], 1.0):
        one.failures = 1
    assert (one.failures, one.replicas, one.noted) == (0, 2, None)


async def test_an_interruption_scales_back(cluster: tuple[Cluster, Api]) -> None:
    one, api = cluster
    begun = asyncio.Event()

    async def outage() -> None:
        async with scaled_to_zero(api, "linkerd", ["linkerd-identity"], 1.0):
            begun.set()
            await asyncio.Event().wait()

    check = asyncio.create_task(outage())
    await begun.wait()
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check
    assert (one.replicas, one.noted) == (2, None)


async def test_what_a_killed_run_has_left_is_scaled_back(cluster: tuple[Cluster, Api]) -> None:
    one, api = cluster
    one.deployment["metadata"]["annotations"][REPLICAS] = "3"
    one.deployment["spec"]["replicas"] = 0
    async with scaled_to_zero(api, "linkerd", ["linkerd-identity"], 1.0):
        assert one.noted == "3"
    assert one.replicas == 3
    await scale_back(api, "linkerd")
    assert one.replicas == 3


async def test_a_pod_that_stays_is_named_and_its_deployment_scaled_back(
    cluster: tuple[Cluster, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, api = cluster

    async def nothing(*_arguments: object, **_named: object) -> None:
        """Delete nothing."""

    monkeypatch.setattr(api, "delete", nothing)
    with pytest.raises(Inconclusive, match=r"linkerd-identity in linkerd was scaled to zero, and has pods 0 s later"):
        async with scaled_to_zero(api, "linkerd", ["linkerd-identity"], 0.001):
            pytest.fail("there was no outage")
    assert one.replicas == 2
