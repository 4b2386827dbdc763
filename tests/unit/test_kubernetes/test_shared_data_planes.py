"""Crashes of daemons, and of other data planes that several workloads share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.shared_data_planes import SharedDataPlanes
from tests.serving import client_of

ABORTED, KILLED, PANICKED = 134, 137, 2
SELECTOR = "app=daemon"


def daemon(*exit_codes: int) -> dict[str, Any]:
    """The pod of a daemon whose container has ended with these exit codes, and runs again."""
    runs = len(exit_codes)
    ended = {"lastState": {"terminated": {"exitCode": exit_codes[-1], "containerID": f"{runs}"}}} if runs else {}
    return {
        "metadata": {"namespace": "mesh", "name": "daemon-x", "uid": "1"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "daemon"}]},
        "status": {"containerStatuses": [{"name": "daemon", "restartCount": runs, "state": {"running": {}}} | ended]},
    }


def on_node_a(pod: dict[str, Any]) -> bool:
    return bool(pod["spec"]["nodeName"] == "node-a")


@dataclass
class Node:
    """An API server with one pod, whose watch ends when the pod changes; who watches again knows the pod."""

    pod: dict[str, Any]
    text: str = "[critical] assert failure: 1 == 2"
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    known: asyncio.Event = field(default_factory=asyncio.Event)

    async def pods(self, request: web.Request) -> web.Response:
        if "watch" in request.query:
            self.known.set()
            await self.changed.wait()
            self.changed.clear()
            return web.Response()
        return web.json_response({"items": [self.pod], "metadata": {"resourceVersion": "1"}})

    async def log(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.text)

    async def end(self, *exit_codes: int, down: bool = False) -> None:
        """Let the container end, and wait until that is known; ``down``: it has not been started again."""
        await self.known.wait()
        self.pod = daemon(*exit_codes)
        if down:
            status = self.pod["status"]["containerStatuses"][0]
            status["state"] = status.pop("lastState")
        self.known.clear()
        self.changed.set()
        await self.known.wait()


@asynccontextmanager
async def watched(*exit_codes: int) -> AsyncIterator[tuple[Node, SharedDataPlanes, Api]]:
    """A daemon that is watched after its container has ended with these exit codes."""
    node, shared, app = Node(daemon(*exit_codes)), SharedDataPlanes(), web.Application()
    app.router.add_get("/api/v1/pods", node.pods)
    app.router.add_get("/api/v1/namespaces/mesh/pods/daemon-x/log", node.log)
    async with client_of(app) as api:
        await shared.watch(api, SELECTOR)
        await shared.watch(api, SELECTOR)
        try:
            yield node, shared, api
        finally:
            await shared.close()
            node.changed.set()  # or the server would wait for the end of its answer


@pytest.mark.asyncio
async def test_a_crash_is_reported_until_it_is_forgotten() -> None:
    async with watched() as (node, shared, api):
        assert await shared.crashes(api, on_node_a) == []
        await node.end(ABORTED)
        crash = await shared.crashes(api, on_node_a)
        assert crash == [
            "the container daemon of mesh/daemon-x on node-a crashed (exit code 134); "
            "its log says: [critical] assert failure: 1 == 2"
        ]
        assert await shared.crashes(api, on_node_a) == crash
        shared.forget()
        assert await shared.crashes(api, on_node_a) == []
        await node.end(ABORTED, ABORTED)
        assert await shared.crashes(api, on_node_a) == crash


@pytest.mark.asyncio
async def test_other_ends_and_earlier_ones_do_not_count() -> None:
    async with watched(ABORTED) as (node, shared, api):
        assert await shared.crashes(api, on_node_a) == []
        await node.end(ABORTED, KILLED)
        assert await shared.crashes(api, on_node_a) == []


@pytest.mark.asyncio
async def test_a_crash_on_a_node_without_workloads_of_the_run_does_not_count() -> None:
    async with watched() as (node, shared, api):
        await node.end(ABORTED)
        assert await shared.crashes(api, lambda _: False) == []
        assert len(await shared.crashes(api, on_node_a)) == 1


@pytest.mark.asyncio
async def test_an_end_whose_log_says_nothing_yet_is_looked_at_again() -> None:
    async with watched() as (node, shared, api):
        node.text = ""
        await node.end(PANICKED, down=True)
        assert await shared.crashes(api, on_node_a) == []
        node.text = "panic: runtime error: index out of range"
        shared.forget()
        assert len(await shared.crashes(api, on_node_a)) == 1
