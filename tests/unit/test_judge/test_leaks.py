"""A leak is a violation even after a failed control, where a check asserts a refusal; nothing else is."""

import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.checks.claims import AttemptsClaims
from pytest_meshcheck.checks.expect import KINDS, control, expect
from pytest_meshcheck.checks.intrusion import kept_out, kept_unreadable
from pytest_meshcheck.checks.leaks import REFUSALS, asserts_refusal, leaks_first
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import Attempt, CaptureResult, Ending, Exchange, LoadOutcome, Protocol, Spread

SUITE = Path(__file__).parent
CONTROL = "control failed: expected 2, but it is 1"


def exchange(ending: Ending = Ending.ANSWERED, protocol: Protocol = Protocol.HTTP1, **seen: Any) -> Exchange:
    return Exchange(request_id="r", ending=ending, protocol=protocol, started=1.0, ended=1.5, wall=0.0, **seen)


def attempt(request_id: str) -> Attempt:
    return Attempt(
        request_id=request_id, number=1, instance="i", port="tcp", protocol=Protocol.TCP, arrived=1.0, wall=0.0
    )


def load(reached: int) -> LoadOutcome:
    none = Spread.of([])
    return LoadOutcome(1, (("r", "reset"),), (), (), lateness=none, latency=none, served_in=none, reached=reached)


def captured(*found: str, length: int = 9) -> CaptureResult:
    return CaptureResult(connections=1, bytes_to_server=length, bytes_to_client=length, found=found, excerpt=b"")


FORMS = frozenset({Ending.RESET})
Sentence = Callable[[], object]

LEAKS: dict[str, Sentence] = {
    "an answer": lambda: expect(exchange(status=200)).refused(FORMS),
    "a call": lambda: expect(exchange(protocol=Protocol.GRPC, status=200, grpc_status=0)).refused(FORMS),
    "an echo": lambda: expect(exchange(protocol=Protocol.TCP)).refused(FORMS),
    "an attempt": lambda: expect((attempt("r"),)).never_arrived(),
    "a load": lambda: expect(load(reached=1)).refused(),
    "a canary": lambda: expect(captured("canary")).unreadable(),
}
NO_LEAKS: dict[str, Sentence] = {
    "an error of the data plane": lambda: expect(exchange(status=500)).refused(FORMS),
    "a refusal in another form": lambda: expect(exchange(Ending.CLOSED)).refused(FORMS),
    "nobody there": lambda: expect(exchange(Ending.CONNECT_REFUSED)).refused(FORMS),
    "a connection that says no id": lambda: expect((attempt(""),)).never_arrived(),
    "no traffic": lambda: expect(captured(length=0)).unreadable(),
    "another assertion": lambda: expect(exchange(Ending.RESET)).answered(),
    "what is built on the control": lambda: dict[str, str]()["attempt"],
    "a control": lambda: control(3).equals(4),
    "nothing more": lambda: None,
}


def judge(sentence: Sentence, going_on: bool = True) -> None:
    """A check in which a control fails before something else is seen."""
    with leaks_first(going_on):
        control(1).equals(2)
        sentence()


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_outranks_a_failed_control(name: str) -> None:
    with pytest.raises(Violation) as found:
        judge(LEAKS[name])
    assert found.value.__notes__ == [f"before that: {CONTROL}"]


@pytest.mark.parametrize("name", NO_LEAKS)
def test_without_a_leak_the_failed_control_counts(name: str) -> None:
    with pytest.raises(Inconclusive) as found:
        judge(NO_LEAKS[name])
    assert str(found.value) == CONTROL
    assert "control(1).equals(2)" in [frame.line for frame in traceback.extract_tb(found.value.__traceback__)]


@pytest.mark.parametrize("name", LEAKS)
def test_a_check_that_does_not_go_on_ends_with_the_control(name: str) -> None:
    with pytest.raises(Inconclusive):
        judge(LEAKS[name], going_on=False)


@pytest.mark.parametrize("name", [*LEAKS, "a refusal in another form", "a connection that says no id"])
def test_without_a_failed_control_everything_counts(name: str) -> None:
    with pytest.raises(Violation), leaks_first(True):
        (LEAKS | NO_LEAKS)[name]()


async def refusing_itself(seen: Exchange) -> None:
    expect(seen).refused(FORMS)


async def refusing_by_another(seen: Exchange) -> None:
    await refusing_itself(seen)


async def refusing_inside(seen: Exchange) -> None:
    async def inner() -> None:
        expect(seen).refused(FORMS)

    await inner()


async def not_refusing(seen: Exchange) -> None:
    expect(seen).answered()
    control(seen).body(0, "")


@pytest.mark.parametrize("function", [refusing_itself, refusing_by_another, refusing_inside])
def test_a_check_that_asserts_a_refusal_is_known(function: Callable[..., Awaitable[None]]) -> None:
    assert asserts_refusal(function, SUITE)


def test_other_checks_end_with_a_failed_control() -> None:
    assert not asserts_refusal(not_refusing, SUITE)


def test_functions_outside_of_the_suite_do_not_count() -> None:
    assert not asserts_refusal(refusing_by_another, SUITE / "elsewhere")


def test_refusals_are_assertions() -> None:
    claims = {name for kind in (*(claims for _, claims in KINDS), AttemptsClaims) for name in vars(kind)}
    assert {*claims, kept_out.__name__, kept_unreadable.__name__} >= REFUSALS
