"""Assertions on observations: ``expect`` tests the mesh, ``control`` tests the check's own stimulus.

Both have the same methods. A failed assertion is a ``Violation`` under ``expect``, and ``Inconclusive`` under
``control``: a stimulus that does not work shows nothing about the mesh.

An assertion that depends on time says so with ``rests_on``, because a stalled process may explain its failure. A
request that got through although it must not (a leak), or arrived twice, has no such explanation, whatever the check
says; a leak is a violation even after a failed control (``leaks``).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from pytest_meshcheck.checks.leaks import fail_control, fail_expectation
from pytest_meshcheck.checks.verdict import Time, Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import (
    Attempt,
    CaptureResult,
    Ending,
    Exchange,
    Form,
    LoadOutcome,
    takes_form,
)
from pytest_meshcheck.probe.protocol.messages import AttemptEnding

T = TypeVar("T")
Fail = Callable[[str, str, Time | None, str, bool], None]
GAVE_UP = (Ending.TIMED_OUT, Ending.UNREACHABLE)
NOBODY_THERE = (Ending.CONNECT_REFUSED, Ending.UNREACHABLE)
SHOWN = 5
"""The number of failures listed in a message; the evidence has all of them."""

PART = 0.5
"""The fraction of a probe's patience that stalls must use up to explain a time-out; several processes may share it."""

GIVEN_UP = Time(lost=5.0, during=10.0)
"""The stall that explains missing attempts: the probe gave up before they arrived."""


def _violation(expected: str, actual: str, rests_on: Time | None, request_id: str, leak: bool) -> None:
    fail_expectation(Violation(expected, actual, rests_on, request_id), leak=leak)


def _inconclusive(expected: str, actual: str, *_of_violations: object) -> None:
    fail_control(Inconclusive(f"control failed: expected {expected}, but {actual}"))


@dataclass(frozen=True)
class Claims(Generic[T]):
    """Assertions on an observation; each returns the observation, so that a check can use it further."""

    seen: T
    fail: Fail
    what: str = ""
    rests_on: Time | None = None

    def require(self, holds: bool, expected: str, actual: str) -> T:
        """Fail unless ``holds``."""
        return self.require_in_time(holds, expected, actual, self.rests_on)

    def require_in_time(
        self, holds: bool, expected: str, actual: str, rests_on: Time | None, *, leak: bool = False
    ) -> T:
        """Fail unless ``holds``; ``rests_on`` replaces that of the claims."""
        if not holds:
            self.fail(f"{self.what}: {expected}" if self.what else expected, actual, rests_on, self.request_id, leak)
        return self.seen

    @property
    def request_id(self) -> str:
        """The observed request; empty for other observations."""
        return ""


class ValueClaims(Claims[T]):
    """Assertions on a value."""

    def equals(self, value: object) -> T:
        """The value equals this one."""
        return self.require(self.seen == value, f"{value!r}", f"it is {self.seen!r}")

    def differs_from(self, value: object) -> T:
        """The value differs from this one."""
        return self.require(self.seen != value, f"a value other than {value!r}", "it is equal")

    def at_most(self, limit: float) -> T:
        """The number is not greater than this. With ``rests_on`` it is in seconds; a stall must cover the excess."""
        seen: Any = self.seen
        excess = self.rests_on and Time(self.rests_on.lost + seen - limit, self.rests_on.during + seen)
        words = after if self.rests_on else "{:g}".format
        return self.require_in_time(seen <= limit, f"at most {words(limit)}", f"it is {words(seen)}", excess)

    def at_least(self, limit: float) -> T:
        """The number is not smaller than this."""
        return self.require(self.seen >= limit, f"at least {limit:g}", f"it is {self.seen:g}")  # type: ignore[operator]

    def is_true(self, *, otherwise: str) -> T:
        """The value is true; ``otherwise`` is the message if it is not."""
        return self.require(bool(self.seen), "it holds", otherwise)


class ExchangeClaims(Claims[Exchange]):
    """Assertions on an exchange."""

    @property
    def request_id(self) -> str:
        """The request that the exchange was about."""
        return self.seen.request_id

    def answered(self, status: int | Collection[int] = 200) -> Exchange:
        """A complete response arrived, with this status. 200 means success, in the terms of any protocol.

        For gRPC 500 is any failure; without a status, as over TCP, only the response counts.
        """
        statuses = {status} if isinstance(status, int) else set(status)
        good = self.seen.ending is Ending.ANSWERED and (
            not self.seen.protocol.facts.has_status or _as_http(self.seen) in statuses
        )
        wanted = " or ".join(str(code) for code in sorted(statuses))
        return self.require_in_time(good, f"an answer with status {wanted}", described(self.seen), self._timing())

    def answered_grpc(self, status: int) -> Exchange:
        """The gRPC call ended with this status."""
        good = self.seen.ending is Ending.ANSWERED and self.seen.grpc_status == status
        return self.require_in_time(good, f"an answer with grpc-status {status}", described(self.seen), self._timing())

    def refused(self, forms: Collection[Form]) -> Exchange:
        """It was refused in one of the documented forms. A closed port is not a refusal."""
        if self.seen.ending in NOBODY_THERE:
            _inconclusive("a refusal", f"nobody listens at {self.seen.remote}: {described(self.seen)}")
            return self.seen
        good = any(takes_form(self.seen, form) for form in forms)
        rests_on = None if self.seen.ending is Ending.ANSWERED else self._timing()
        expected = f"a refusal ({' or '.join(sorted(map(str, forms)))})"
        return self.require_in_time(good, expected, described(self.seen), rests_on, leak=self.seen.served)

    def body(self, length: int, sha256: str) -> Exchange:
        """The body is complete and unaltered."""
        good = (self.seen.body_length, self.seen.body_sha256) == (length, sha256)
        actual = f"{self.seen.body_length} bytes with SHA-256 {self.seen.body_sha256 or 'none'} arrived"
        return self.require(good, f"a body of {length} bytes with SHA-256 {sha256}", actual)

    def took(self, at_least: float, at_most: float) -> Exchange:
        """It took this many seconds. A stall can explain a late end, not an early one."""
        seconds = self.seen.seconds
        late = Time(seconds - at_least, seconds) if seconds > at_most else None
        expected = f"an end after {at_least:.3f} to {at_most:.3f} s"
        return self.require_in_time(at_least <= seconds <= at_most, expected, described(self.seen), late)

    def _timing(self) -> Time | None:
        """The stall that could explain this end: if the probe gave up, part of its patience."""
        if self.seen.ending in GAVE_UP:
            return Time(self.seen.seconds * PART, self.seen.seconds)
        return self.rests_on


class AttemptsClaims(Claims[tuple[Attempt, ...]]):
    """Assertions on the attempts that reached an application."""

    @property
    def request_id(self) -> str:
        """The request of the attempts; empty if none arrived."""
        return self.seen[0].request_id if self.seen else ""

    def attempted(self, number: int) -> tuple[Attempt, ...]:
        """Exactly this many attempts arrived."""
        arrived = len(self.seen)
        fewer = self.rests_on or GIVEN_UP if arrived < number else None
        expected, actual = f"{number} attempts at the application", f"{arrived} arrived{_within(self.seen)}"
        return self.require_in_time(arrived == number, expected, actual, fewer)

    def never_arrived(self) -> tuple[Attempt, ...]:
        """Nothing reached the application.

        It is a leak if one says its id; a TCP connection that does not may be of an earlier request.
        """
        arrived, leak = f"{len(self.seen)} attempts arrived", any(attempt.request_id for attempt in self.seen)
        return self.require_in_time(not self.seen, "nothing to reach the application", arrived, None, leak=leak)

    def bodies(self, length: int, sha256: str) -> tuple[Attempt, ...]:
        """Every attempt carried the complete body, unaltered."""
        wrong = [a for a in self.seen if (a.body_length, a.body_sha256) != (length, sha256)]
        actual = "; ".join(f"attempt {a.number} brought {a.body_length} with {a.body_sha256}" for a in wrong[:SHOWN])
        return self.require(not wrong, f"{length} bytes with SHA-256 {sha256} on every attempt", actual)

    def cancelled(self) -> tuple[Attempt, ...]:
        """Each attempt was cancelled by the client's side."""
        late = [a for a in self.seen if a.ending is not AttemptEnding.CANCELLED]
        actual = "; ".join(f"attempt {a.number} is {a.ending}" for a in late[:SHOWN]) or "no attempt arrived"
        return self.require(bool(self.seen) and not late, "the server to see the cancellation", actual)


class LoadClaims(Claims[LoadOutcome]):
    """Assertions on an open-loop load."""

    def served_once(self) -> LoadOutcome:
        """No request failed, was lost or arrived twice."""
        rests_on = None if self.seen.lost or self.seen.duplicated else self.rests_on
        expected = "every request to be served exactly once"
        return self.require_in_time(self.seen.served_once, expected, _losses(self.seen), rests_on)

    def lost_nothing(self, at_least: int, within: float) -> LoadOutcome:
        """No request failed, was lost or arrived twice.

        Inconclusive if fewer than ``at_least`` were sent, or the client gave up. A late schedule can explain that some
        failed, and is no matter where none did; see ``kept_schedule``.
        """
        control(self.seen, self.what).sent_at_least(at_least)
        if self.seen.overrun or not self.seen.served_once:
            control(self.seen, self.what).kept_schedule(within)
        return self.served_once()

    def refused(self) -> LoadOutcome:
        """No request succeeded or reached an application."""
        answered = self.seen.sent - len(self.seen.failed)
        actual = f"of {self.seen.sent} requests {answered} were served, {self.seen.reached} reached the application"
        good = not (answered or self.seen.reached)
        return self.require_in_time(good, "every request to be refused", actual, None, leak=True)

    def kept_schedule(self, limit: float) -> LoadOutcome:
        """The machine kept up with the load, so that no request failed for lack of CPU time.

        Nine in ten requests were sent at most ``limit`` seconds after they were due; if any failed, half of the
        served ones took no longer than that.
        """
        late, served = self.seen.lateness.p90, self.seen.served_in.p50 if self.seen.failed else 0.0
        return self.require(
            max(late, served) <= limit and not self.seen.overrun,
            f"the machine to carry the load: requests sent and served within {limit:g} s",
            f"one in ten was sent {late:.3g} s late, half of those served took {served:.3g} s",
        )

    def sent_at_least(self, number: int) -> LoadOutcome:
        """The load had at least this many requests."""
        return self.require(self.seen.sent >= number, f"at least {number} requests", f"{self.seen.sent} were sent")


class CaptureClaims(Claims[CaptureResult]):
    """Assertions on a wire capture."""

    def readable(self, needles: Sequence[str]) -> CaptureResult:
        """Each of these texts was on the wire in plaintext."""
        missing = [needle for needle in needles if needle not in self.seen.found]
        return self.require(not missing, f"{len(needles)} canaries on the wire", f"{len(missing)} of them missing")

    def unreadable(self) -> CaptureResult:
        """None of the texts was on the wire, although bytes went both ways."""
        if not (self.seen.bytes_to_server and self.seen.bytes_to_client):
            _inconclusive("traffic on the wire", "none was recorded")
        found = f"found {', '.join(self.seen.found)}"
        return self.require_in_time(not self.seen.found, "nothing readable on the wire", found, None, leak=True)


@dataclass(frozen=True)
class Judge:
    """Selects the assertions that fit an observation.

    ``what`` names a value in messages. ``rests_on`` is for assertions that depend on time: see ``MeshUnderTest.time``.
    """

    fail: Fail

    @overload
    def __call__(self, seen: Exchange, what: str = "", *, rests_on: Time | None = None) -> ExchangeClaims: ...
    @overload
    def __call__(
        self, seen: tuple[Attempt, ...], what: str = "", *, rests_on: Time | None = None
    ) -> AttemptsClaims: ...
    @overload
    def __call__(self, seen: LoadOutcome, what: str = "", *, rests_on: Time | None = None) -> LoadClaims: ...
    @overload
    def __call__(self, seen: CaptureResult, what: str = "", *, rests_on: Time | None = None) -> CaptureClaims: ...
    @overload
    def __call__(self, seen: Any, what: str = "", *, rests_on: Time | None = None) -> ValueClaims[Any]: ...
    def __call__(self, seen: Any, what: str = "", *, rests_on: Time | None = None) -> Claims[Any]:
        """The assertions for this observation."""
        for kind, claims in KINDS:
            if isinstance(seen, kind):
                return claims(seen, self.fail, what, rests_on)
        if isinstance(seen, tuple) and all(isinstance(entry, Attempt) for entry in seen):
            return AttemptsClaims(seen, self.fail, what, rests_on)
        return ValueClaims(seen, self.fail, what, rests_on)


KINDS: tuple[tuple[type, type[Claims[Any]]], ...] = (
    (Exchange, ExchangeClaims),
    (LoadOutcome, LoadClaims),
    (CaptureResult, CaptureClaims),
)

expect = Judge(_violation)
"""Tests the mesh; a failed assertion is a ``Violation``."""

control = Judge(_inconclusive)
"""Proves that the stimulus works; a failed assertion is ``Inconclusive``."""


async def converge(
    observe: Callable[[], Awaitable[T]],
    marker: Callable[[T], bool],
    within: float,
    *,
    in_a_row: int = 1,
    every: float = 0.01,
) -> tuple[T, float]:
    """Observe every ``every`` seconds until ``marker`` held ``in_a_row`` times or ``within`` seconds are over.

    Returns the last observation, and the seconds until the marker began to hold: more than ``within`` if it never held
    for long enough. The check asserts on both; earlier observations do not count against the mesh. If the marker never
    holds, the last observation began after ``within`` seconds, even if this process was delayed.
    """
    begun = time.monotonic()
    run, since = 0, 0.0
    while True:
        late = time.monotonic() - begun > within
        seen = await observe()
        elapsed = time.monotonic() - begun
        if marker(seen):
            since = since if run else elapsed
            run += 1
        else:
            run = 0
        if run >= in_a_row or late:
            return seen, since if run >= in_a_row else elapsed
        await asyncio.sleep(every)


def described(exchange: Exchange) -> str:
    """How an exchange ended, and when, e.g. ``it was answered 503 after 312 ms, body "no healthy upstream"``."""
    status = [] if exchange.status is None else [str(exchange.status)]
    answer = status if exchange.ending is Ending.ANSWERED else []
    parts = [" ".join([f"it was {exchange.ending}", *answer, f"after {after(exchange.seconds)}"])]
    if status and not answer:
        parts.append(f"status {exchange.status}")
    if exchange.grpc_status is not None:
        parts.append(f"grpc-status {exchange.grpc_status}")
    body = exchange.body_start[:80].strip()
    parts += [part for part in (exchange.detail, f'body "{body}"' if body else "") if part]
    return ", ".join(parts)


def after(seconds: float) -> str:
    """A duration to the millisecond: ``0.2 ms``, ``312 ms``, ``2.041 s``."""
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3f} s"


def _losses(load: LoadOutcome) -> str:
    """What went wrong in a load, and when, with the first failures."""
    wrong = {"failed": load.failed, "were lost": load.lost, "arrived twice": load.duplicated}
    found = ", ".join(f"{len(several)} {words}" for words, several in wrong.items() if several)
    steps = [number for number, one in enumerate(load.slices) if one.failed or one.lost or one.doubled]
    begin, end = (f"{number * load.step:g}" for number in (steps[0], steps[-1] + 1)) if steps else ("", "")
    when = f" from {begin} to {end} s after its start" if steps else ""
    reasons = "; ".join(f"{name} {why}" for name, why in load.failed[:SHOWN])
    return f"of {load.sent} requests {found or 'none failed'}{when}{f': {reasons}' if reasons else ''}"


def _within(attempts: Sequence[Attempt]) -> str:
    """The time between the first and the last of several attempts at one server."""
    if len(attempts) < 2 or len({attempt.instance for attempt in attempts}) > 1:
        return ""
    moments = [attempt.arrived for attempt in attempts]
    return f" within {after(max(moments) - min(moments))}"


def _as_http(exchange: Exchange) -> int | None:
    facts = exchange.protocol.facts
    if exchange.code == facts.success:
        return 200
    return 500 if facts.grpc else exchange.status
