"""Which logs of pods are kept, and what they say of a container that ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.evidence.logs import log_of_ended, write_logs
from pytest_meshcheck.platforms.kubernetes.workloads.pods import ended_container
from tests.serving import client_of

RUNS, ENDED = {"running": {}}, {"terminated": {"reason": "Error", "exitCode": 134}}


def pod(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {"name": "proxy", "restartCount": int(last is not None), "state": state, "lastState": last or {}}
    return {
        "metadata": {"namespace": "blue", "name": "server-0", "uid": "1"},
        "spec": {"containers": [{"name": "proxy"}]},
        "status": {"containerStatuses": [status]},
    }


def texts(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in directory.iterdir()}


@asynccontextmanager
async def kubelet() -> AsyncIterator[Api]:
    """An API server whose logs are what was asked for."""

    async def log(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.match_info['pod']} {dict(request.query)}")

    app = web.Application()
    app.router.add_get("/api/v1/namespaces/blue/pods/{pod}/log", log)
    async with client_of(app, 1.0) as api:
        yield api


LOGS = {
    # what became of the container: the files, and what the kubelet is asked for besides the container's name
    "runs": (pod(RUNS), {"": {"tailLines": "500"}}),
    "ended": (pod(ENDED), {"": {}}),
    "restarted": (pod(RUNS, ENDED), {"": {"tailLines": "500"}, ".previous": {"previous": "true"}}),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", LOGS)
async def test_the_log_of_what_ended_is_kept_whole(case: str, tmp_path: Path) -> None:
    described, expected = LOGS[case]
    async with kubelet() as api:
        await write_logs(api, tmp_path, [described])
    asked = {suffix: {"container": "proxy"} | query for suffix, query in expected.items()}
    assert texts(tmp_path) == {
        f"blue.server-0.proxy{suffix}.log": f"server-0 {query}" for suffix, query in asked.items()
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(("now", "whole"), [(pod(ENDED), "{'container': 'proxy'}"), (pod(RUNS, ENDED), "'previous'")])
async def test_what_a_container_said_last_is_found(now: dict[str, Any], whole: str) -> None:
    ended = ended_container(pod(RUNS), now)
    assert ended is not None
    assert ended.name == "proxy"
    async with kubelet() as api:
        assert whole in await log_of_ended(api, now, ended.name)


def test_nothing_has_ended_in_a_pod_that_runs_or_is_gone() -> None:
    assert ended_container(pod(RUNS), pod(RUNS)) is None
    assert ended_container(pod(RUNS), None) is None
