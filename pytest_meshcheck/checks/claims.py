"""Assertions on observations, by kind of observation; each says what it expected and what it found."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pytest_meshcheck.checks.described import SHOWN, after, described, losses, within
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
PART = 0.5
"""The fraction of a probe's patience that stalls must use up to explain a time-out; several processes may share it."""

GIVEN_UP = Time(lost=5.0, during=10.0)
"""The stall that explains missing attempts: the probe gave up before they arrived."""


def fail_mesh(expected: str, actual: str, rests_on: Time | None, request_id: str, leak: bool) -> None:
    """The mesh does not do what it has to."""
    fail_expectation(Violation(expected, actual, rests_on, request_id, leak=leak))


def fail_stimulus(expected: str, actual: str, *_of_violations: object) -> None:
    """The check's own stimulus does not work."""
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
        excess = self.rests_on and Time(seen - limit, self.rests_on.during + seen)
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

    def answered_grpc(self, status: int | Collection[int]) -> Exchange:
        """The gRPC call ended with this status, or with one of these."""
        statuses = {status} if isinstance(status, int) else set(status)
        good = self.seen.ending is Ending.ANSWERED and self.seen.grpc_status in statuses
        wanted = " or ".join(str(code) for code in sorted(statuses))
        return self.require_in_time(good, f"an answer with grpc-status {wanted}", described(self.seen), self._timing())

    def echoed(self) -> Exchange:
        """The stream returned an echo."""
        return self.require_in_time(
            self.seen.ending is Ending.ANSWERED, "an echo on the stream", described(self.seen), self._timing()
        )

    def refused(self, forms: Collection[Form], *, arrived: tuple[Attempt, ...] = ()) -> Exchange:
        """It was refused in one of the documented forms, and none of it ``arrived`` at an application.

        A closed port, or silence, is a refusal only where it is a documented form.
        """
        if self.seen.ending in NOBODY_THERE and self.seen.ending not in forms:
            fail_stimulus("a refusal", f"nothing listens at {self.seen.remote}: {described(self.seen)}")
        else:
            good = any(takes_form(self.seen, form) for form in forms)
            rests_on = None if self.seen.ending is Ending.ANSWERED else self._timing()
            expected = f"a refusal ({' or '.join(sorted(map(str, forms)))})"
            self.require_in_time(good, expected, described(self.seen), rests_on, leak=self.seen.served)
        AttemptsClaims(arrived, self.fail, self.what).never_arrived()
        return self.seen

    def body(self, length: int, sha256: str) -> Exchange:
        """The body is complete and unaltered."""
        good = (self.seen.body_length, self.seen.body_sha256) == (length, sha256)
        actual = f"{self.seen.body_length} bytes with SHA-256 {self.seen.body_sha256 or 'none'} arrived"
        return self.require(good, f"a body of {length} bytes with SHA-256 {sha256}", actual)

    def took(self, at_least: float, at_most: float) -> Exchange:
        """It took this many seconds. A stall can explain a late end, not an early one; it must cover the excess."""
        seconds = self.seen.seconds
        late = Time(seconds - at_most, seconds) if seconds > at_most else None
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
        expected, actual = f"{number} attempts at the application", f"{arrived} arrived{within(self.seen)}"
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
        return self.require_in_time(self.seen.served_once, expected, losses(self.seen), rests_on)

    def lost_nothing(self, at_least: int, within: float) -> LoadOutcome:
        """No request failed, was lost or arrived twice.

        Inconclusive if fewer than ``at_least`` were sent, or the client gave up. A late schedule can explain that some
        failed, and is no matter where none did; see ``kept_schedule``.
        """
        stimulus = LoadClaims(self.seen, fail_stimulus, self.what)
        stimulus.sent_at_least(at_least)
        if self.seen.overrun or not self.seen.served_once:
            stimulus.kept_schedule(within)
        return self.served_once()

    def refused(self) -> LoadOutcome:
        """No request succeeded or reached an application; inconclusive if the client gave up before its end."""
        answered = self.seen.answered
        actual = f"of {self.seen.sent} requests {answered} were served, {self.seen.reached} reached the application"
        good = not (answered or self.seen.reached)
        if good and self.seen.overrun:
            fail_stimulus(
                "the load to run to its end",
                f"the client gave up after {self.seen.sent}; use fewer processes (-n)",
            )
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
            fail_stimulus("traffic on the wire", "none was recorded")
        found = f"found {', '.join(self.seen.found)}"
        return self.require_in_time(not self.seen.found, "nothing readable on the wire", found, None, leak=True)


def _as_http(exchange: Exchange) -> int | None:
    facts = exchange.protocol.facts
    if exchange.code == facts.success:
        return 200
    return 500 if facts.grpc else exchange.status
