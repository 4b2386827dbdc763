"""Head starts that several checks have in common, and those of disruptive checks."""

import asyncio
import functools
from typing import Any

import pytest

from pytest_meshcheck.checks.leaks import fail_control, leaks_first
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.testbed.head_starts import HeadStarts, PlannedHeadStart

pytestmark = pytest.mark.asyncio
MESH = object()


class Counted:
    """A head start that counts how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self, mesh: Any, size: int = 1) -> int:
        assert mesh is MESH
        self.made += 1
        return self.made * size


async def test_checks_with_the_same_head_start_share_it() -> None:
    counted, head_starts = Counted(), HeadStarts()
    for name, size in (("a/b", 1), ("a/c", 1), ("a/d", 5)):
        head_starts.begin(name, PlannedHeadStart(functools.partial(counted, size=size)), MESH)
    results = [await head_starts.of(name, MESH).task for name in ("a/b", "a/c", "a/d")]
    assert results == [1, 1, 10]
    assert head_starts.of("a/b", MESH).since == head_starts.of("a/c", MESH).since


async def test_that_of_disruptive_checks_begins_when_it_is_awaited() -> None:
    counted, head_starts = Counted(), HeadStarts()
    head_starts.begin("a/b", PlannedHeadStart(functools.partial(counted), deferred=True), MESH)
    await asyncio.sleep(0)
    assert counted.made == 0
    assert await head_starts.of("a/b", MESH).task == 1


async def test_the_end_of_one_that_fails_is_known_too() -> None:
    async def fails(_: Any) -> None:
        raise Inconclusive("no answer")

    head_starts = HeadStarts()
    head_starts.begin("a/b", PlannedHeadStart(functools.partial(fails)), MESH)
    begun = head_starts.of("a/b", MESH)
    assert begun.ended is None
    with pytest.raises(Inconclusive, match="no answer"):
        await begun.task
    assert begun.ended is not None
    assert begun.ended >= begun.since


async def test_controls_of_a_head_start_are_not_those_of_the_check_that_begins_it() -> None:
    async def fails(_: Any) -> None:
        fail_control(Inconclusive("no answer before the outage"))

    head_starts = HeadStarts()
    for name in ("a/b", "a/c"):
        head_starts.begin(name, PlannedHeadStart(functools.partial(fails), deferred=True), MESH)
    for name in ("a/b", "a/c"):
        with pytest.raises(Inconclusive, match="before the outage"), leaks_first(True):
            await head_starts.of(name, MESH).task


async def test_another_version_of_the_mesh_has_head_starts_of_its_own() -> None:
    counted, head_starts = Counted(), HeadStarts()
    for made in (1, 2):
        head_starts.begin("a/b", PlannedHeadStart(functools.partial(counted)), MESH)
        assert await head_starts.of("a/b", MESH).task == made
        await head_starts.close()
