"""The lock on a mesh that several processes share."""

import asyncio
from pathlib import Path

import pytest

from pytest_meshcheck.testbed.lock import MeshLock

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True), (True, True)])
async def test_a_holder_keeps_another_waiting_and_its_loop_running(tmp_path: Path, first: bool, second: bool) -> None:
    """A loop that stood still would take the blame for whatever the mesh does meanwhile."""
    events: list[str] = []

    async def enter() -> None:
        async with MeshLock(tmp_path / "lock").held(exclusive=second):
            events.append("entered")

    async with MeshLock(tmp_path / "lock").held(exclusive=first):
        waiting = asyncio.create_task(enter())
        for _ in range(100):
            await asyncio.sleep(0)
        events.append("left")
    await asyncio.wait_for(waiting, 60)
    assert events == ["left", "entered"]


async def test_checks_share_it(tmp_path: Path) -> None:
    one, other = MeshLock(tmp_path / "lock"), MeshLock(tmp_path / "lock")
    async with asyncio.timeout(60), one.held(exclusive=False), other.held(exclusive=False):
        assert one.file == other.file


async def test_outages_are_counted_for_all(tmp_path: Path) -> None:
    one, other = MeshLock(tmp_path / "lock"), MeshLock(tmp_path / "lock")
    async with one.held(exclusive=True):
        assert one.outages == 0
        one.count_outage()
    async with other.held(exclusive=True):
        assert other.outages == 1
        other.count_outage()
    async with one.held(exclusive=False):
        assert one.outages == 2


async def test_a_process_of_its_own_counts_none() -> None:
    lock = MeshLock()
    async with lock.held(exclusive=True):
        lock.count_outage()
        assert lock.outages == 0
