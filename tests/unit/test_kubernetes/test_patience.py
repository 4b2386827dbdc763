"""How long a workload is waited for that does not start."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload_spec import STARTS_WITHIN
from pytest_meshcheck.platforms.kubernetes.connection import Connection

NAMED = ("blue", "newcomer", 1)


class NoPods:
    """A watch of pods that never come; how long it was asked to wait for one."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    async def until(self, good: Callable[[Mapping[Any, Any]], bool], within: float) -> None:
        if not good({}):
            self.waited.append(within)
            raise TimeoutError


class NoServer:
    """An API server that cannot be reached."""

    async def items(self, *_: object) -> None:
        raise OSError("unreachable")


@pytest.mark.asyncio
async def test_it_costs_the_run_its_time_once_and_its_successor_has_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pods = NoPods()
    connection = Connection(NoServer(), None, pods, 1.0)  # type: ignore[arg-type]
    for passed in (80.0, 0.0):
        with pytest.raises(Inconclusive, match="is not ready after"):
            await connection.ready_pod(*NAMED)
        now[0] += passed
    await connection.gone(*NAMED)
    with pytest.raises(Inconclusive, match="is not ready after 0 s"):
        await connection.ready_pod(*NAMED)
    assert pods.waited == [STARTS_WITHIN, STARTS_WITHIN - 80.0, STARTS_WITHIN]


@pytest.mark.asyncio
async def test_a_workload_may_have_less_time_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    pods = NoPods()
    connection = Connection(NoServer(), None, pods, 2.0)  # type: ignore[arg-type]
    with pytest.raises(Inconclusive, match="is not ready after"):
        await connection.ready_pod(*NAMED, within=10.0)
    assert pods.waited == [20.0]
