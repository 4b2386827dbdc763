"""Every sentence about what was seen can hold, and can fail."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pytest_meshcheck.checks.expect import control, converge, expect
from pytest_meshcheck.checks.verdict import Time, Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import (
    Answered,
    Attempt,
    Ending,
    Exchange,
    LoadOutcome,
    LoadSlice,
    Protocol,
    Spread,
)
from pytest_meshcheck.probe.protocol.messages import AttemptEnding, CaptureResult


def exchange(ending: Ending = Ending.ANSWERED, protocol: Protocol = Protocol.HTTP1, **seen: Any) -> Exchange:
    defaults = {"request_id": "r", "started": 1.0, "ended": 1.5, "wall": 0.0}
    return Exchange(ending=ending, protocol=protocol, **{**defaults, **seen})


def attempt(number: int = 1, ending: AttemptEnding = AttemptEnding.ANSWERED, **seen: Any) -> Attempt:
    defaults = {"request_id": "r", "instance": "i", "port": "http", "protocol": Protocol.HTTP1, "arrived": 1.0}
    return Attempt(number=number, ending=ending, wall=0.0, **{**defaults, **seen})


def captured(*found: str, to_server: int = 9, to_client: int = 9) -> CaptureResult:
    return CaptureResult(connections=1, bytes_to_server=to_server, bytes_to_client=to_client, found=found, excerpt=b"")


def load(**wrong: Any) -> LoadOutcome:
    right = {
        "sent": 10,
        "failed": (),
        "lost": (),
        "duplicated": (),
        "lateness": Spread.of([]),
        "latency": Spread.of([]),
        "served_in": Spread.of([]),
    }
    return LoadOutcome(**{**right, **wrong})


SLOW = Spread.of([6.0, 7.0])
HALF_SLOW = Spread.of([0.1, 7.0])
ANSWERED = exchange(status=200, body_length=3, body_sha256="abc")
GRPC = exchange(protocol=Protocol.GRPC, status=200, grpc_status=0)
UNAVAILABLE = exchange(protocol=Protocol.GRPC, status=200, grpc_status=14)
RESET = exchange(Ending.RESET, detail="Connection reset by peer")
FORMS = frozenset({Ending.RESET})
GOOD_STEP, BAD_STEP = LoadSlice(sent=2), LoadSlice(sent=2, lost=1)
Sentence = Callable[[Any], object]

# seen, sentence
HOLDS: dict[str, tuple[object, Sentence]] = {
    "equals": (1, lambda c: c.equals(1)),
    "differs": (1, lambda c: c.differs_from(2)),
    "at most": (1.0, lambda c: c.at_most(1.0)),
    "at least": (1.0, lambda c: c.at_least(1.0)),
    "is_true": (True, lambda c: c.is_true(otherwise="it is not")),
    "answered": (ANSWERED, lambda c: c.answered()),
    "answered with one of several": (exchange(status=204), lambda c: c.answered({200, 204})),
    "answered over gRPC": (GRPC, lambda c: c.answered()),
    "answered over TCP": (exchange(protocol=Protocol.TCP), lambda c: c.answered()),
    "answered over WebSocket": (exchange(protocol=Protocol.WEBSOCKET, status=101), lambda c: c.answered()),
    "refused over WebSocket": (exchange(protocol=Protocol.WEBSOCKET, status=403), lambda c: c.answered(403)),
    "grpc-status": (UNAVAILABLE, lambda c: c.answered_grpc(14)),
    "refused": (RESET, lambda c: c.refused(FORMS)),
    "refused by status": (exchange(status=403), lambda c: c.refused(FORMS | {Answered(403)})),
    "body": (ANSWERED, lambda c: c.body(3, "abc")),
    "took": (ANSWERED, lambda c: c.took(0.5, 0.5)),
    "attempted": ((attempt(1), attempt(2)), lambda c: c.attempted(2)),
    "never_arrived": ((), lambda c: c.never_arrived()),
    "bodies": ((attempt(body_length=3, body_sha256="abc"),), lambda c: c.bodies(3, "abc")),
    "cancelled": ((attempt(ending=AttemptEnding.CANCELLED),), lambda c: c.cancelled()),
    "served_once": (load(), lambda c: c.served_once()),
    "lost nothing": (load(), lambda c: c.lost_nothing(10, 1.0)),
    "lost nothing, though it was late": (load(lateness=SLOW), lambda c: c.lost_nothing(10, 1.0)),
    "sent at least": (load(), lambda c: c.sent_at_least(10)),
    "kept_schedule": (load(lateness=Spread.of([1.0])), lambda c: c.kept_schedule(1.0)),
    "kept its schedule, though some failed": (
        load(failed=(("1", "reset"),), served_in=HALF_SLOW),
        lambda c: c.kept_schedule(1.0),
    ),
    "kept its schedule, slowly": (load(served_in=SLOW), lambda c: c.kept_schedule(1.0)),
    "readable": (captured("a", "b"), lambda c: c.readable(["a", "b"])),
    "unreadable": (captured(), lambda c: c.unreadable()),
}

# seen, sentence, what is expected, what is the case
FAILS: dict[str, tuple[object, Sentence, str, str]] = {
    "equals": (1, lambda c: c.equals(2), "2", "it is 1"),
    "differs": (1, lambda c: c.differs_from(1), "a value other than 1", "it is equal"),
    "at most": (1.5, lambda c: c.at_most(1.0), "at most 1", "it is 1.5"),
    "at least": (0.5, lambda c: c.at_least(1.0), "at least 1", "it is 0.5"),
    "is_true": ("", lambda c: c.is_true(otherwise="it is empty"), "it holds", "it is empty"),
    "answered": (
        exchange(status=503, body_start="no healthy upstream\n"),
        lambda c: c.answered(),
        "an answer with status 200",
        'it was answered 503 after 500 ms, body "no healthy upstream"',
    ),
    "answered in control characters": (
        exchange(status=503, body_start="a\0b\nc"),
        lambda c: c.answered(),
        "an answer with status 200",
        'it was answered 503 after 500 ms, body "a\\x00b\\nc"',
    ),
    "answered without a status": (
        exchange(),
        lambda c: c.answered(),
        "an answer with status 200",
        "it was answered after 500 ms",
    ),
    "cut off after its head": (
        exchange(Ending.RESET, status=200),
        lambda c: c.answered(),
        "an answer with status 200",
        "it was reset after 500 ms, status 200",
    ),
    "answered with one of several": (
        exchange(status=500),
        lambda c: c.answered({204, 200}),
        "an answer with status 200 or 204",
        "it was answered 500 after 500 ms",
    ),
    "answered over gRPC": (
        UNAVAILABLE,
        lambda c: c.answered(),
        "an answer with status 200",
        "it was answered 200 after 500 ms, grpc-status 14",
    ),
    "answered over TCP": (
        exchange(Ending.RESET, protocol=Protocol.TCP),
        lambda c: c.answered(),
        "an answer with status 200",
        "it was reset after 500 ms",
    ),
    "grpc-status": (
        UNAVAILABLE,
        lambda c: c.answered_grpc(4),
        "an answer with grpc-status 4",
        "it was answered 200 after 500 ms, grpc-status 14",
    ),
    "refused": (ANSWERED, lambda c: c.refused(FORMS), "a refusal (reset)", "it was answered 200 after 500 ms"),
    "refused too late": (
        RESET,
        lambda c: c.refused(FORMS, arrived=(STARTED,)),
        "nothing to reach the application",
        "1 attempts arrived",
    ),
    "refused in another form": (
        exchange(Ending.TIMED_OUT),
        lambda c: c.refused(FORMS | {Answered(403)}),
        "a refusal (reset or status 403)",
        "it was timed-out after 500 ms",
    ),
    "body too short": (
        ANSWERED,
        lambda c: c.body(4, "abc"),
        "a body of 4 bytes with SHA-256 abc",
        "3 bytes with SHA-256 abc arrived",
    ),
    "body altered": (
        ANSWERED,
        lambda c: c.body(3, "abd"),
        "a body of 3 bytes with SHA-256 abd",
        "3 bytes with SHA-256 abc arrived",
    ),
    "too quick": (
        ANSWERED,
        lambda c: c.took(0.6, 1.0),
        "an end after 0.600 to 1.000 s",
        "it was answered 200 after 500 ms",
    ),
    "too slow": (
        ANSWERED,
        lambda c: c.took(0.1, 0.4),
        "an end after 0.100 to 0.400 s",
        "it was answered 200 after 500 ms",
    ),
    "too many attempts": (
        (attempt(1), attempt(2, arrived=1.025)),
        lambda c: c.attempted(1),
        "1 attempts at the application",
        "2 arrived within 25 ms",
    ),
    "too few attempts": ((), lambda c: c.attempted(1), "1 attempts at the application", "0 arrived"),
    "something": (
        (attempt(),),
        lambda c: c.never_arrived(),
        "nothing to reach the application",
        "1 attempts arrived",
    ),
    "one body of several": (
        (attempt(1, body_length=3, body_sha256="abc"), attempt(2, body_length=2, body_sha256="ab")),
        lambda c: c.bodies(3, "abc"),
        "3 bytes with SHA-256 abc on every attempt",
        "attempt 2 brought 2 with ab",
    ),
    "not cancelled": (
        (attempt(1, AttemptEnding.CANCELLED), attempt(2, AttemptEnding.OPEN)),
        lambda c: c.cancelled(),
        "the server to see the cancellation",
        "attempt 2 is open",
    ),
    "sent too late": (
        load(lateness=SLOW),
        lambda c: c.kept_schedule(1.0),
        "the machine to carry the load: requests sent and served within 1 s",
        "one in ten was sent 7 s late, half of those served took 0 s",
    ),
    "more than the machine can carry": (
        load(failed=(("1", "timed-out"),), served_in=SLOW),
        lambda c: c.kept_schedule(1.0),
        "the machine to carry the load: requests sent and served within 1 s",
        "one in ten was sent 0 s late, half of those served took 6 s",
    ),
    "nothing to cancel": ((), lambda c: c.cancelled(), "the server to see the cancellation", "no attempt arrived"),
    "failed": (
        load(failed=(("r-1", "reset 0"),)),
        lambda c: c.served_once(),
        "every request to be served exactly once",
        "of 10 requests 1 failed: r-1 reset 0",
    ),
    "lost something": (
        load(lost=("r-1",)),
        lambda c: c.lost_nothing(10, 1.0),
        "every request to be served exactly once",
        "of 10 requests 1 were lost",
    ),
    "lost": (
        load(lost=("r-1",)),
        lambda c: c.served_once(),
        "every request to be served exactly once",
        "of 10 requests 1 were lost",
    ),
    "lost for a while": (
        load(lost=("r-1",), step=0.5, slices=(GOOD_STEP, BAD_STEP, GOOD_STEP, BAD_STEP, GOOD_STEP)),
        lambda c: c.served_once(),
        "every request to be served exactly once",
        "of 10 requests 1 were lost from 0.5 to 2 s after its start",
    ),
    "came twice": (
        load(duplicated=(("r-1", 2),)),
        lambda c: c.served_once(),
        "every request to be served exactly once",
        "of 10 requests 1 arrived twice",
    ),
    "sent too few": (load(), lambda c: c.sent_at_least(11), "at least 11 requests", "10 were sent"),
    "a canary is missing": (
        captured("a"),
        lambda c: c.readable(["a", "b"]),
        "2 canaries on the wire",
        "1 of them missing",
    ),
    "readable": (captured("a"), lambda c: c.unreadable(), "nothing readable on the wire", "found a"),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_sentence_that_holds_returns_what_was_seen(name: str) -> None:
    seen, sentence = HOLDS[name]
    assert sentence(expect(seen)) is seen
    assert sentence(control(seen)) is seen


@pytest.mark.parametrize("name", FAILS)
def test_a_sentence_that_fails_is_a_violation(name: str) -> None:
    seen, sentence, expected, actual = FAILS[name]
    with pytest.raises(Violation) as failure:
        sentence(expect(seen))
    assert (failure.value.expected, failure.value.actual) == (expected, actual)


@pytest.mark.parametrize("name", FAILS)
def test_a_control_that_fails_is_inconclusive(name: str) -> None:
    seen, sentence, expected, actual = FAILS[name]
    with pytest.raises(Inconclusive) as failure:
        sentence(control(seen))
    assert str(failure.value) == f"control failed: expected {expected}, but {actual}"


@pytest.mark.parametrize("ending", [Ending.CONNECT_REFUSED, Ending.UNREACHABLE])
def test_nobody_there_is_no_refusal(ending: Ending) -> None:
    with pytest.raises(Inconclusive, match=r"nothing listens at \('127.0.0.1', 1\)"):
        expect(exchange(ending, remote=("127.0.0.1", 1))).refused({Ending.RESET})


def test_silence_is_a_refusal_where_it_is_documented() -> None:
    unreachable = exchange(Ending.UNREACHABLE)
    assert expect(unreachable).refused({Ending.UNREACHABLE}) == unreachable


@pytest.mark.parametrize("silent", [{"to_server": 0}, {"to_client": 0}])
def test_silence_is_not_confidential(silent: dict[str, int]) -> None:
    with pytest.raises(Inconclusive, match="none was recorded"):
        expect(captured(**silent)).unreadable()


def test_a_value_is_called_what_it_is() -> None:
    with pytest.raises(Violation, match="expected the status: 2, but it is 1"):
        expect(1, "the status").equals(2)


def test_a_long_list_of_failures_is_cut() -> None:
    failed = tuple((f"r-{number}", "reset") for number in range(9))
    with pytest.raises(Violation) as failure:
        expect(load(failed=failed)).served_once()
    assert failure.value.actual.count("reset") == 5


def observations(*values: int) -> Callable[[], Any]:
    """Tells one value after the other, and then the last one."""
    left = list(values)

    async def observe() -> int:
        await asyncio.sleep(0)
        return left.pop(0) if len(left) > 1 else left[0]

    return observe


@pytest.mark.asyncio
async def test_converges_on_the_first_marker() -> None:
    seen, seconds = await converge(observations(0, 0, 1), bool, within=10)
    assert seen == 1
    assert 0 < seconds <= 10


@pytest.mark.asyncio
async def test_converges_on_several_in_a_row() -> None:
    told: list[int] = []
    observe = observations(0, 1, 0, 1, 1, 1, 0)

    async def tell() -> int:
        told.append(await observe())
        return told[-1]

    assert (await converge(tell, bool, within=10, in_a_row=3))[0] == 1
    assert told == [0, 1, 0, 1, 1, 1]


@pytest.mark.asyncio
async def test_what_never_converges_ends() -> None:
    seen, seconds = await converge(observations(0), bool, within=0.05)
    assert seen == 0
    assert seconds > 0.05


@pytest.mark.asyncio
async def test_what_holds_too_late_to_be_sure_has_not_converged() -> None:
    values = observations(*([0] * 3), 1)
    started = asyncio.get_running_loop().time()

    async def flapping() -> int:
        return await values() if asyncio.get_running_loop().time() - started > 0.05 else 0

    _, seconds = await converge(flapping, bool, within=0.05, in_a_row=1000)
    assert seconds > 0.05


TIME = Time(1.0, 3.0)
STARTED = Attempt(request_id="r", number=1, instance="i", port="http", protocol=Protocol.HTTP1, arrived=1.0, wall=0.0)

# sentence, what it rests on when it does not hold
RESTS_ON: dict[str, tuple[Callable[[], object], Time | None]] = {
    "a value, by order": (lambda: expect(1).equals(2), None),
    "a value, by time": (lambda: expect(1, rests_on=TIME).equals(2), TIME),
    "seconds over the limit": (lambda: expect(2.5, rests_on=TIME).at_most(2.0), Time(0.5, 5.5)),
    "given up": (lambda: expect(exchange(Ending.TIMED_OUT, ended=11.0)).answered(), Time(5.0, 10.0)),
    "answered otherwise": (lambda: expect(ANSWERED).answered(204), None),
    "not cut in time": (lambda: expect(ANSWERED, rests_on=TIME).answered(504), TIME),
    "let in": (lambda: expect(ANSWERED, rests_on=TIME).refused(FORMS), None),
    "refused otherwise": (lambda: expect(exchange(Ending.CLOSED), rests_on=TIME).refused(FORMS), TIME),
    "refused never": (lambda: expect(exchange(Ending.TIMED_OUT, ended=4.0)).refused(FORMS), Time(1.5, 3.0)),
    "too late": (lambda: expect(exchange(ended=3.5)).took(0.5, 1.5), Time(1.0, 2.5)),
    "too early": (lambda: expect(exchange(ended=1.1)).took(0.5, 1.5), None),
    "too many attempts": (lambda: expect((STARTED, STARTED), rests_on=TIME).attempted(1), None),
    "too few attempts": (lambda: expect((STARTED,)).attempted(2), Time(5.0, 10.0)),
    "an attempt too much": (lambda: expect((STARTED,), rests_on=TIME).never_arrived(), None),
    "not cancelled in time": (lambda: expect((STARTED,), rests_on=TIME).cancelled(), TIME),
    "failed under load": (lambda: expect(load(failed=(("r-1", "reset"),)), rests_on=TIME).served_once(), TIME),
    "doubled under load": (lambda: expect(load(duplicated=(("r-1", 2),)), rests_on=TIME).served_once(), None),
    "lost under load": (lambda: expect(load(lost=("r-1",)), rests_on=TIME).served_once(), None),
    "readable": (lambda: expect(captured("canary"), rests_on=TIME).unreadable(), None),
}


@pytest.mark.parametrize("name", RESTS_ON)
def test_what_got_through_is_never_a_matter_of_time(name: str) -> None:
    sentence, rests_on = RESTS_ON[name]
    with pytest.raises(Violation) as violation:
        sentence()
    assert violation.value.rests_on == rests_on


@pytest.mark.asyncio
async def test_the_last_observation_is_begun_after_the_deadline() -> None:
    begun = asyncio.get_running_loop().time()

    async def held_up() -> float:
        at = asyncio.get_running_loop().time() - begun
        await asyncio.sleep(0.1)
        return at

    seen, _ = await converge(held_up, lambda _: False, within=0.05)
    assert seen > 0.05


def test_a_load_that_was_given_up_was_not_carried() -> None:
    with pytest.raises(Inconclusive, match="the machine to carry the load"):
        control(load(overrun=True)).kept_schedule(1.0)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (load(lost=("r-1",)), "at least 11 requests"),
        (load(sent=11, lost=("r-1",), lateness=SLOW), "the machine to carry"),
        (load(sent=11, overrun=True), "the machine to carry"),
    ],
)
def test_a_load_that_met_nothing_has_lost_nothing_to_speak_of(seen: LoadOutcome, said: str) -> None:
    with pytest.raises(Inconclusive, match=said):
        expect(seen).lost_nothing(11, 1.0)


def test_seconds_over_a_limit_are_read_as_a_duration() -> None:
    with pytest.raises(Violation, match=r"expected at most 1\.200 s, but it is 2\.002 s"):
        expect(2.00178, rests_on=TIME).at_most(1.2)
