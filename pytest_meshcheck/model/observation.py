"""Observations: the client's exchanges joined with the servers' attempts."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.probe.protocol.messages import Attempt, Ending, Exchange, LoadResult, Protocol, Sight, Tls

__all__ = [
    "Answered",
    "Attempt",
    "Ending",
    "Exchange",
    "Form",
    "LoadOutcome",
    "LoadSlice",
    "Protocol",
    "Sight",
    "Spread",
    "Tls",
    "join",
    "takes_form",
]


@dataclass(frozen=True)
class Answered:
    """A refusal that is an answer of the data plane: the HTTP status, or the gRPC status, that it has."""

    status: int | None = None
    grpc_status: int | None = None

    def __str__(self) -> str:
        return f"status {self.status}" if self.grpc_status is None else f"grpc-status {self.grpc_status}"


SHORT, SHORT_STEP = 10.0, 0.1
"""Seconds of a load below which seconds would show little of it, and what is shown instead."""

Form = Ending | Answered
"""How a peer can be refused."""


def takes_form(exchange: Exchange, form: Form) -> bool:
    """Whether an exchange ended in this form."""
    if isinstance(form, Ending):
        return exchange.ending is form
    told = exchange.status if form.grpc_status is None else exchange.grpc_status
    return exchange.ending is Ending.ANSWERED and told == (form.status or form.grpc_status)


@dataclass(frozen=True)
class Spread:
    """Percentiles of a set of figures."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of these values; all zero where there are none. Each is one of the values (nearest rank)."""
        ranked = sorted(values) or [0.0]
        at = [ranked[max(0, math.ceil(len(ranked) * part) - 1)] for part in (0.5, 0.9, 0.99, 1.0)]
        return cls(*at)


class LoadSlice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the requests of a load that were due in one stretch of it."""

    sent: int
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    slowest: float = 0.0
    """Seconds from due to answered of the slowest of them."""


@dataclass(frozen=True)
class LoadOutcome:
    """An open-loop load, joined with the ledgers of the servers it went to. Entries are request ids with the reason.

    Attributes:
        sent: Requests sent.
        failed: Those without a good answer, with what the client saw instead.
        lost: Those that the client saw answered, but that no server has in its ledger.
        duplicated: Those that reached an application more than once, with the number of attempts.
        lateness: How far requests were sent behind their schedule, in seconds: the client's fault, not the mesh's.
        latency: From due to answered, in seconds, so that a stall shows in every request that it delays.
        served_in: The same of those requests alone that did not fail.
        reached: How many requests reached an application, whatever the client saw.
        overrun: Whether it ended by itself, as requests were sent too late.
        began: When it began, as seconds since the epoch.
        step: Seconds of each slice: 1, or 0.1 of a short load.
        slices: What became of it, step by step.
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
    def clean(self) -> bool:
        """Whether nothing failed, was lost or came twice."""
        return not (self.failed or self.lost or self.duplicated)


def join(attempts: Sequence[Attempt], *results: LoadResult) -> LoadOutcome:
    """Join what the servers saw of a load with what its client saw, or several instances of it one after the other."""
    seen = Counter(attempt.request_id for attempt in attempts)
    failed, lost, duplicated, lateness, latency, served = [], [], [], [], [], []
    for result in results:
        lateness += [begun - due for due, begun in zip(result.scheduled, result.sent, strict=True)]
        latency += [end - due for due, end in zip(result.scheduled, result.ended, strict=True)]
        for number, ending in enumerate(result.endings):
            request_id = f"{result.request_id}-{number}"
            if not _is_good(result, number):
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
    """What to add to the times of an instance, be it on another machine, to have seconds since the load began."""
    return result.wall - results[0].wall - result.began


def _step(results: Sequence[LoadResult]) -> float:
    last = max((_began(result, results) + due for result in results for due in result.scheduled[-1:]), default=0.0)
    return SHORT_STEP if last < SHORT else 1.0


def _slices(arrivals: Mapping[str, int], results: Sequence[LoadResult]) -> tuple[LoadSlice, ...]:
    """Requests by when they were due."""
    step, found = _step(results), defaultdict[int, list[tuple[bool, int, float]]](list)
    for result in results:
        for number, due in enumerate(result.scheduled):
            good, arrived = _is_good(result, number), arrivals.get(f"{result.request_id}-{number}", 0)
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


def _is_good(result: LoadResult, number: int) -> bool:
    facts = result.protocol.facts
    good = not facts.has_status or result.statuses[number] == facts.success
    return good and result.endings[number] is Ending.ANSWERED
