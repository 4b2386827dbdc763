"""What is judged at the end of a block, and what is not replaced by that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pytest_meshcheck.checks.intrusion import kept_unreadable
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Wire
from pytest_meshcheck.probe.protocol.messages import CaptureResult

CANARY = "c0ffee"


class Captured:
    """A wire with a canary on it, or none, or whose capture is incomplete."""

    def __init__(self, *found: str, broken: str = "") -> None:
        self._result = CaptureResult(connections=1, bytes_to_server=1, bytes_to_client=1, found=found, excerpt=b"")
        self._broken = broken

    async def look_for(self, *_: str) -> CaptureResult:
        if self._broken:
            raise Inconclusive(self._broken)
        return self._result


@asynccontextmanager
async def capture(wire: Captured) -> AsyncIterator[Wire]:
    yield wire  # type: ignore[misc]


ENDS = {
    # id: the wire, how the block ends, what is raised
    "leak": (Captured(CANARY), None, Violation),
    "leak-though-the-rest-breaks": (Captured(CANARY), Inconclusive("the node is away"), Violation),
    "nothing": (Captured(), Inconclusive("the node is away"), Inconclusive),
    "violation-before-a-broken-capture": (Captured(broken="packets were lost"), Violation("found", "less"), Violation),
    "reason-before-a-broken-capture": (
        Captured(broken="packets were lost"),
        Inconclusive("the node is away"),
        Inconclusive,
    ),
}


async def watched(wire: Captured, error: Exception | None) -> None:
    async with kept_unreadable(capture(wire), CANARY):
        if error is not None:
            raise error


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ENDS)
async def test_a_leak_counts_however_the_block_ends(end: str) -> None:
    wire, error, raised = ENDS[end]
    with pytest.raises(raised) as why:
        await watched(wire, error)
    assert isinstance(why.value, Violation) or str(why.value) == "the node is away"


@pytest.mark.asyncio
async def test_a_block_without_a_leak_ends_well() -> None:
    await watched(Captured(), None)
