"""After an outage every process that shares the mesh waits for its own data planes, once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_meshcheck.testbed.lock import MeshLock
from pytest_meshcheck.testbed.reconnection import Reconnection

pytestmark = pytest.mark.asyncio


class ControlPlane:
    """Counts its restarts."""

    restarts = 0

    @asynccontextmanager
    async def control_plane_return(self) -> AsyncIterator[None]:
        self.restarts += 1
        yield


class Workloads(SimpleNamespace):
    """The workloads of a stage, and the policies about them."""

    async def remove_dead(self) -> None:
        pass


class Cache:
    """Counts how often the verified routes are forgotten."""

    forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1


class Counted(Reconnection):
    """Counts how often it waits, in vain where no data plane follows."""

    adapter: Any
    policies: Any
    waits = 0
    follows = True

    async def _wait(self) -> bool:
        self.waits += 1
        return self.follows


def of_process(lock: Path | None, *running: str) -> Counted:
    workloads = [SimpleNamespace(name=name, unreached="") for name in running]
    part: Any = Workloads(running=workloads, enrolled=workloads, cache=Cache())
    adapter: Any = ControlPlane()
    return Counted(adapter, part, part, MeshLock(lock), 1.0)


async def test_other_processes_catch_up_once(tmp_path: Path) -> None:
    one, other, idle = (of_process(tmp_path / "lock", *running) for running in (["client"], ["client"], []))
    async with one.lock.held(exclusive=True):
        await one.after_own_outage()
    for process in (one, other, other, idle):
        async with process.lock.held(exclusive=False):
            await process.catch_up()
    assert [process.waits for process in (one, other, idle)] == [1, 1, 0]
    assert [process.policies.cache.forgotten for process in (one, other, idle)] == [0, 1, 1]


async def test_a_restart_of_the_control_plane_is_an_outage_for_other_processes(tmp_path: Path) -> None:
    one, other = (of_process(tmp_path / "lock", "client") for _ in range(2))
    one.follows = False
    async with one.lock.held(exclusive=True):
        await one.after_own_outage()
    for process in (other, one, other, other):
        async with process.lock.held(exclusive=False):
            await process.catch_up()
    assert (one.adapter.restarts, other.adapter.restarts) == (1, 0)
    assert other.waits == 2


@pytest.mark.parametrize("follows", [True, False])
async def test_what_does_not_follow_starts_anew(*, follows: bool) -> None:
    process = of_process(None, "client")
    process.follows = follows
    await process.after_own_outage()
    (workload,) = process.stage.running
    assert not workload.unreached  # the check that caused the outage judges what they do
    assert process.adapter.restarts == 0
    await process.catch_up()
    await process.catch_up()
    assert bool(workload.unreached) is not follows
    assert process.waits == (1 if follows else 2)
    assert process.adapter.restarts == (0 if follows else 1)


async def test_the_check_after_a_noted_outage_waits() -> None:
    process = of_process(None, "client")
    process.note_outage()
    assert process.waits == 0
    await process.catch_up()
    await process.catch_up()
    assert process.waits == 1
