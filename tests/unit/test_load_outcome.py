"""What becomes of a load: what its client saw, joined with what the servers saw."""

import msgspec

from pytest_meshcheck.model.observation import Attempt, LoadSlice, Protocol, outcome_of
from pytest_meshcheck.probe.protocol.messages import Ending, LoadResult

SEEN = [
    # ending, status, seconds from due to ended, attempts at the servers
    (Ending.ANSWERED, 200, 0.1, 1),
    (Ending.ANSWERED, 200, 0.2, 0),
    (Ending.ANSWERED, 200, 0.3, 2),
    (Ending.ANSWERED, 503, 0.4, 1),
    (Ending.TIMED_OUT, -1, 9.0, 0),
]


def result() -> LoadResult:
    endings, statuses, seconds, _ = zip(*SEEN, strict=True)
    return LoadResult(
        request_id="load",
        scheduled=tuple(float(number) for number in range(len(SEEN))),
        sent=tuple(number + 0.05 for number in range(len(SEEN))),
        ended=tuple(number + taken for number, taken in enumerate(seconds)),
        endings=endings,
        statuses=statuses,
        details=("",) * len(SEEN),
    )


def attempts() -> list[Attempt]:
    ids = [f"load-{number}" for number, (*_, times) in enumerate(SEEN) for _ in range(times)]
    how = {"number": 1, "instance": "i", "port": "http", "protocol": Protocol.HTTP1, "arrived": 0.0, "wall": 0.0}
    return [Attempt(request_id=one, **how) for one in ids]


def test_a_short_load_is_told_by_tenths_of_a_second() -> None:
    outcome = outcome_of(attempts(), result())
    assert outcome.step == 0.1
    told = {number: one for number, one in enumerate(outcome.slices) if one.sent}
    assert told == {
        0: LoadSlice(sent=1, slowest=0.1),
        10: LoadSlice(sent=1, lost=1, slowest=0.2),
        20: LoadSlice(sent=1, doubled=1, slowest=0.3),
        30: LoadSlice(sent=1, failed=1, slowest=0.4),
        40: LoadSlice(sent=1, failed=1, slowest=9.0),
    }


def test_a_long_load_is_told_by_seconds_also_where_another_machine_goes_on() -> None:
    first = msgspec.structs.replace(result(), began=0.0, wall=1000.0)
    ahead = 7000.0
    later = msgspec.structs.replace(
        first,
        request_id="load-part1",
        began=ahead,
        wall=1020.0,
        scheduled=tuple(ahead + due for due in first.scheduled),
        sent=tuple(ahead + sent for sent in first.sent),
        ended=tuple(ahead + end for end in first.ended),
    )
    outcome = outcome_of(attempts(), first, later)
    assert (outcome.step, outcome.began) == (1.0, 1000.0)
    assert [number for number, one in enumerate(outcome.slices) if one.sent] == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]


def test_each_request_is_served_failed_lost_or_doubled() -> None:
    outcome = outcome_of(attempts(), result())
    assert outcome.failed == (("load-3", "answered 503"), ("load-4", "timed-out -1"))
    assert outcome.lost == ("load-1",)
    assert outcome.duplicated == (("load-2", 2),)
    assert (outcome.sent, outcome.reached) == (5, 3)
    assert not outcome.served_once


def test_what_failed_is_not_among_what_was_served_in_time() -> None:
    outcome = outcome_of(attempts(), result())
    assert [round(value, 3) for value in (outcome.served_in.p50, outcome.served_in.max)] == [0.2, 0.3]
    assert round(outcome.latency.max, 3) == 9.0


def test_several_instances_of_a_client_are_one_load() -> None:
    outcome = outcome_of(attempts(), result(), result())
    assert outcome.sent == 10
    assert round(outcome.lateness.max, 3) == 0.05
