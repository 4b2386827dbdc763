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
