"""What rests on time is held against a mesh only where no process stood still for long enough to explain it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from pytest_meshcheck.checks.verdict import Time, Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Interval, Stall
from pytest_meshcheck.probe.process.pulse import now
from pytest_meshcheck.probe.protocol.messages import Standstill
from pytest_meshcheck.testbed.stall_monitor import StallMonitor

pytestmark = pytest.mark.asyncio


@dataclass
class OtherProcesses:
    """What a platform says of its processes."""

    stalls_of: Sequence[Stall] = ()
    gone: str = ""

    async def stalls(self, _interval: Interval) -> Sequence[Stall]:
        if self.gone:
            raise Inconclusive(self.gone)
        return self.stalls_of

    def longest_stalls(self) -> Mapping[str, float]:
        return {"probes": 0.25}


@dataclass
class Paused:
    """Processes that stood still at one moment."""

    at: float

    async def stalls(self, interval: Interval) -> Sequence[Stall]:
        return [stall(1.5)] if interval.since <= self.at <= interval.until else []


def monitor(*stalls: Stall, gone: str = "") -> StallMonitor:
    made = StallMonitor(OtherProcesses(stalls, gone))  # type: ignore[arg-type]
    made.pulse.begin()
    made.begin_check()
    return made


def stall(lost: float, shortage: str = "") -> Stall:
    return Stall("probe of blue/client", Standstill(longest=lost, lost=lost, shortage=shortage))


def violation(lost: float | None, actual: str = "it was not") -> Violation:
    return Violation("it to be", actual, None if lost is None else Time(lost, during=5.0))


async def test_a_standstill_that_is_long_enough_explains_what_rests_on_time() -> None:
    with pytest.raises(Inconclusive, match=r"probe of blue/client was paused for 1.5 s, which can explain this: expec"):
        await monitor(stall(0.1), stall(1.5)).excuse(violation(1.0))


@pytest.mark.parametrize("lost", [2.0, None], ids=["too-short", "by-order"])
async def test_a_standstill_does_not_explain_more_than_it_can(lost: float | None) -> None:
    await monitor(stall(1.5)).excuse(violation(lost))


async def test_a_shortage_explains_it_whatever_the_time() -> None:
    short = stall(0.0, "open files (limit 256)")
    with pytest.raises(Inconclusive, match=r"probe of blue/client ran out of open files \(limit 256\), which can"):
        await monitor(short).excuse(violation(1.0))
    await monitor(short).excuse(violation(None))


@pytest.mark.parametrize(
    ("words", "resource"),
    [
        ("Too many open files", "open files"),
        ("Too many open files in system", "open files of the whole system"),
        ("Cannot allocate memory", "memory"),
        ("No buffer space available", "buffers for sockets"),
    ],
)
async def test_a_data_plane_that_lacks_something_says_so_in_its_answer(words: str, resource: str) -> None:
    actual = f"of 9 requests 1 failed: answered 503 immediate connect error: {words}"
    with pytest.raises(Inconclusive, match=f"a data plane ran out of {resource}, which can explain this"):
        await monitor().excuse(violation(1.0, actual))
    await monitor().excuse(violation(None, actual))


async def test_this_process_is_asked_too_and_what_came_after_the_violation_is_nothing_to_it() -> None:
    made = monitor()
    before = violation(0.3)
    await asyncio.sleep(0.06)
    time.sleep(0.5)  # noqa: ASYNC251 - the loop is to be blocked
    await made.excuse(before)
    with pytest.raises(Inconclusive, match=r"pytest was paused for 0\.[45] s"):
        await made.excuse(violation(0.3))


@pytest.mark.parametrize(
    ("before_check", "explains"),
    # seconds between the standstill and the check; the check uses observations made 60 to 50 s before it
    [(70.0, False), (55.0, True), (30.0, False), (0.5, True)],
)
async def test_between_earlier_observations_and_the_check_a_standstill_explains_nothing(
    before_check: float, explains: bool
) -> None:
    made = StallMonitor(Paused(now() - before_check))  # type: ignore[arg-type]
    made.pulse.begin()
    made.begin_check()
    made.reach_back(now() - 60.0, now() - 50.0)
    if not explains:
        return await made.excuse(violation(1.0))
    with pytest.raises(Inconclusive, match=r"probe of blue/client was paused for 1.5 s, which"):
        await made.excuse(violation(1.0))
    return None


async def test_what_stood_still_is_named_where_a_control_failed() -> None:
    failure = Inconclusive("no answer")
    assert str(await monitor(stall(2.0)).explain(failure)) == (
        "no answer (meanwhile probe of blue/client was paused for 2.0 s)"
    )
    assert await monitor(stall(0.2)).explain(failure) is failure
    assert await monitor(gone="the probe died").explain(failure) is failure


async def test_the_longest_of_each_kind_is_known() -> None:
    assert set(monitor().longest) == {"pytest", "probes"}
    assert monitor().longest["probes"] == 0.25
