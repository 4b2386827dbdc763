"""Head starts that several checks have in common, and those of disruptive checks."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.requirements import Requirement
from pytest_meshcheck.checks.verdict import Level
from pytest_meshcheck.testbed.head_starts import HeadStarts

pytestmark = pytest.mark.asyncio


class Counted:
    """A head start that counts how often it was made."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self, _mesh: Any) -> int:
        self.made += 1
        return self.made


def check_with(head_start: Any, name: str = "a/b", *, disruptive: bool = False) -> Check:
    none = frozenset[Any]()
    required = Requirement("a.b", "It MUST.", ())
    return Check(name, Level.MUST, required, "It does.", none, none, Path(), head_start, disruptive)


async def test_checks_with_the_same_head_start_share_it() -> None:
    counted, head_starts, mesh = Counted(), HeadStarts(), object()
    first, second = check_with(counted), check_with(counted, "a/c")
    for one in (first, second):
        head_starts.begin(one, mesh)  # type: ignore[arg-type]
    results = [await head_starts.of(one, mesh).task for one in (first, second)]  # type: ignore[arg-type]
    assert results == [1, 1]
    assert head_starts.of(first, mesh).since == head_starts.of(second, mesh).since  # type: ignore[arg-type]


async def test_that_of_disruptive_checks_begins_when_it_is_awaited() -> None:
    counted, head_starts, mesh = Counted(), HeadStarts(), object()
    disruptive = check_with(counted, disruptive=True)
    head_starts.begin(disruptive, mesh)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert counted.made == 0
    assert await head_starts.of(disruptive, mesh).task == 1  # type: ignore[arg-type]


async def test_a_check_without_one_is_refused() -> None:
    lacking = replace(check_with(Counted()), head_start=None)
    with pytest.raises(TypeError, match="a/b has no head start: name one in its declaration"):
        HeadStarts().of(lacking, object())  # type: ignore[arg-type]
