"""Connections to the privileged pods: one controller each, and a new one only where the old is in trouble."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_meshcheck.platforms.kubernetes.capture.watchers import DAEMON, Watchers
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import WORKLOAD, Ownership

OWNER = Ownership("a1b2c3", "", "probe:1")
Known = dict[tuple[str, str], dict[str, Any]]


@dataclass
class Connected:
    trouble: str | None = None
    closed: bool = False

    async def close(self) -> None:
        self.closed = True


@dataclass
class Pods:
    known: Known

    async def until(self, fulfilled: Callable[[Known], bool], _within: float) -> None:
        assert fulfilled(self.known)


@dataclass
class Cluster:
    """Two nodes, each with a privileged pod; keeps whom it connected to, in order."""

    pods: Pods
    timeout_scale: float = 1.0
    connected: list[tuple[str, Connected]] = field(default_factory=list)

    async def apply(self, _manifests: list[dict[str, Any]]) -> None:
        """Both pods run already."""

    async def probe_of(self, pod: dict[str, Any]) -> Connected:
        self.connected.append((pod["spec"]["nodeName"], Connected()))
        return self.connected[-1][1]


def running(node: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"wire-{node}", "namespace": "wire", "labels": {WORKLOAD: DAEMON}},
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


@pytest.mark.asyncio
async def test_a_connection_in_trouble_is_replaced_and_the_others_are_kept() -> None:
    watchers = Watchers(OWNER)
    cluster: Any = Cluster(Pods({(watchers.namespace, node): running(node) for node in ("near", "far")}))
    first = dict(await watchers.on({"near", "far"}, cluster))
    assert await watchers.on({"near"}, cluster) == first
    first["far"].trouble = "its node restarted"
    second = await watchers.on({"near", "far"}, cluster)
    assert [node for node, _ in cluster.connected] == ["near", "far", "far"]
    assert second["near"] is first["near"]
    assert second["far"] is not first["far"]
    assert (first["far"].closed, first["near"].closed) == (True, False)


@pytest.mark.asyncio
async def test_the_end_closes_every_connection() -> None:
    watchers = Watchers(OWNER)
    cluster: Any = Cluster(Pods({(watchers.namespace, node): running(node) for node in ("near", "far")}))
    await watchers.on({"near", "far"}, cluster)
    await watchers.close()
    assert [connected.closed for _, connected in cluster.connected] == [True, True]


@pytest.mark.asyncio
async def test_a_node_that_nobody_needs_may_be_broken() -> None:
    watchers = Watchers(OWNER)
    pods = Pods({(watchers.namespace, node): running(node) for node in ("near", "far", "broken")})
    pods.known[watchers.namespace, "broken"]["status"] = {}
    cluster: Any = Cluster(pods)
    assert [*await watchers.on({"near", "far"}, cluster)] == ["near", "far"]


@pytest.mark.asyncio
async def test_a_node_that_comes_later_is_connected_then() -> None:
    watchers = Watchers(OWNER)
    pods = Pods({(watchers.namespace, "near"): running("near")})
    cluster: Any = Cluster(pods)
    first = dict(await watchers.on({"near"}, cluster))
    pods.known[watchers.namespace, "far"] = running("far")
    assert {*await watchers.on({"near", "far"}, cluster)} == {"near", "far"}
    assert [node for node, _ in cluster.connected] == ["near", "far"]
    assert (await watchers.on({"near"}, cluster))["near"] is first["near"]
