"""Observations: the client's exchanges joined with the servers' attempts."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.probe.protocol.messages import Attempt, CaptureResult, Ending, Exchange, LoadResult, Protocol, Tls

__all__ = [
    "Answered",
    "Attempt",
    "CaptureResult",
    "Ending",
    "Exchange",
    "Form",
    "LoadOutcome",
    "LoadSlice",
    "Protocol",
    "Spread",
    "Tls",
    "is_good",
    "outcome_of",
    "takes_form",
]


@dataclass(frozen=True)
class Answered:
    """A refusal by a response of the data plane, with this HTTP or gRPC status."""

    status: int | None = None
    grpc_status: int | None = None

    def __str__(self) -> str:
        return f"status {self.status}" if self.grpc_status is None else f"grpc-status {self.grpc_status}"


SHORT, SHORT_STEP = 10.0, 0.1
"""A load shorter than this, in seconds, is shown in steps of this size instead of seconds."""

Form = Ending | Answered
"""The forms of a refusal."""


def takes_form(exchange: Exchange, form: Form) -> bool:
    """Whether an exchange ended in this form of refusal."""
    if isinstance(form, Ending):
        return exchange.ending is form
    status = exchange.status if form.grpc_status is None else exchange.grpc_status
    return exchange.ending is Ending.ANSWERED and status == (form.status or form.grpc_status)


@dataclass(frozen=True)
class Spread:
    """Percentiles of a set of figures."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The percentiles of these values (nearest rank); all zero without values."""
        ranked = sorted(values) or [0.0]
        at = [ranked[max(0, math.ceil(len(ranked) * part) - 1)] for part in (0.5, 0.9, 0.99, 1.0)]
        return cls(*at)


class LoadSlice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The requests of a load that were due in one interval."""

    sent: int
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    slowest: float = 0.0
    """The longest time from due to answered, in seconds."""


@dataclass(frozen=True)
class LoadOutcome:
    """The result of an open-loop load, joined with the ledgers of its servers. Entries are request ids with a reason.

    Attributes:
        sent: The number of requests.
        failed: Requests without a good answer, with the client's observation.
        lost: Requests that the client saw answered, but that no server has in its ledger.
        duplicated: Requests that reached an application more than once, with the number of attempts.
        lateness: Delay of requests behind their schedule, in seconds: the client's fault, not the mesh's.
        latency: Time from due to answered, in seconds; it includes every delay by a stall.
        served_in: The latency of the requests that did not fail.
        reached: The number of requests that reached an application, whatever the client saw.
        overrun: Whether the client gave up, as it could not keep its schedule.
        began: Its start in seconds since the epoch.
        step: Length of each slice in seconds: 1, or 0.1 for a short load.
        slices: The result per step.
    """

    sent: int
    failed: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]
    duplicated: tuple[tuple[str, int], ...]
    lateness: Spread
    latency: Spread
    served_in: Spread
    reached: int = 0
    overrun: bool = False
    began: float = 0.0
    step: float = 1.0
    slices: tuple[LoadSlice, ...] = ()

    @property
    def answered(self) -> int:
        """How many requests were served."""
        return self.sent - len(self.failed)

    @property
    def served_once(self) -> bool:
        """Whether no request failed, was lost or arrived twice."""
        return not (self.failed or self.lost or self.duplicated)


def outcome_of(attempts: Sequence[Attempt], *results: LoadResult) -> LoadOutcome:
    """Join the ledgers of the servers with the results of the client, which may have had several instances in turn."""
    seen = Counter(attempt.request_id for attempt in attempts)
    failed, lost, duplicated, lateness, latency, served = [], [], [], [], [], []
    for result in results:
        lateness += [begun - due for due, begun in zip(result.scheduled, result.sent, strict=True)]
        latency += [end - due for due, end in zip(result.scheduled, result.ended, strict=True)]
        for number, ending in enumerate(result.endings):
            request_id = f"{result.request_id}-{number}"
            if not is_good(result, number):
                failed.append((request_id, f"{ending} {result.statuses[number]} {result.details[number]}".strip()))
            else:
                served.append(result.ended[number] - result.scheduled[number])
                lost += [] if seen[request_id] else [request_id]
            if seen[request_id] > 1:
                duplicated.append((request_id, seen[request_id]))
    return LoadOutcome(
        sent=sum(len(result.endings) for result in results),
        failed=tuple(failed),
        lost=tuple(lost),
        duplicated=tuple(duplicated),
        lateness=Spread.of(lateness),
        latency=Spread.of(latency),
        served_in=Spread.of(served),
        reached=len(seen),
        overrun=any(result.overrun for result in results),
        began=results[0].wall if results else 0.0,
        step=_step(results),
        slices=_slices(seen, results),
    )


def _began(result: LoadResult, results: Sequence[LoadResult]) -> float:
    """The offset from the clock of an instance, perhaps on another machine, to seconds since the load began."""
    return result.wall - results[0].wall - result.began


def _step(results: Sequence[LoadResult]) -> float:
    last = max((_began(result, results) + due for result in results for due in result.scheduled[-1:]), default=0.0)
    return SHORT_STEP if last < SHORT else 1.0


def _slices(arrivals: Mapping[str, int], results: Sequence[LoadResult]) -> tuple[LoadSlice, ...]:
    """The requests by the step in which they were due."""
    step, found = _step(results), defaultdict[int, list[tuple[bool, int, float]]](list)
    for result in results:
        for number, due in enumerate(result.scheduled):
            good, arrived = is_good(result, number), arrivals.get(f"{result.request_id}-{number}", 0)
            slot = int((_began(result, results) + due) / step + 1e-6)
            found[max(slot, 0)].append((good, arrived, result.ended[number] - due))
    return tuple(_slice(found[slot]) for slot in range(max(found, default=-1) + 1))


def _slice(requests: Sequence[tuple[bool, int, float]]) -> LoadSlice:
    return LoadSlice(
        sent=len(requests),
        failed=sum(not good for good, _, _ in requests),
        lost=sum(good and not arrived for good, arrived, _ in requests),
        doubled=sum(arrived > 1 for _, arrived, _ in requests),
        slowest=round(max((took for _, _, took in requests), default=0.0), 3),
    )


def is_good(result: LoadResult, number: int) -> bool:
    """Whether the request of a load with this number, from 0, was answered with success."""
    facts = result.protocol.facts
    good = not facts.has_status or result.statuses[number] == facts.success
    return good and result.endings[number] is Ending.ANSWERED
