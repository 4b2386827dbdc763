"""Hazards of timeouts and retries: retries that repeat POSTs, exceed a timeout, have none, or never fire."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_meshcheck.checks.own.hazard import Hazard
from pytest_meshcheck.checks.port_effects import GRPC, STALL, Call, PortEffects, by_caller, of_callers
from pytest_meshcheck.checks.verdict import Time
from pytest_meshcheck.model.observation import Ending

SPARE = 0.25
"""The fraction of one attempt by which all attempts together may exceed a limit: back-off, and a busy machine."""

UNTOLD = Time(lost=1.5, during=3.0)
"""The stall that explains that a service has not learned of its caller's end: half of the time that it had."""


@dataclass(frozen=True)
class Tried:
    """The requests of one caller and one method, one for each failure."""

    caller: str
    method: str
    calls: tuple[Call, ...]

    @property
    def stalled(self) -> Call | None:
        """The one that was never answered; None if it did not arrive."""
        return next((one for one in self.calls if one.failure == STALL and one.arrived), None)


@dataclass(frozen=True)
class Retried:
    """A retry policy that is written in the manifests, without conditions on requests.

    Attributes:
        where: Its place.
        failures: The failures that it names, among those that are tried.
        beside_fault: Whether the same rule injects a fault.
    """

    where: str
    failures: frozenset[str]
    beside_fault: bool = False


def outlasted_limit(seen: PortEffects, settings: Sequence[str], each: float | None) -> Hazard:
    """A time limit that ends a request before its retries, or before the service.

    Args:
        seen: The observations.
        settings: The places that configure limits and retries.
        each: The limit of one attempt that the manifests state, in seconds; None without one.
    """
    found: dict[tuple[str, str], list[tuple[Call, str]]] = {}
    apart = _least_apart(seen.failures)
    for tried in _tried(seen):
        if (stalled := tried.stalled) is None or (limit := stalled.limit) is None:
            continue
        words = _needing_longer(seen, tried, limit, each if apart is None or len(stalled.arrivals) == 1 else apart)
        for kind, said in (("short", words), ("late", _beginning_late(stalled)), ("unended", _going_on(stalled))):
            if said:
                found.setdefault((tried.method, kind), []).append((stalled, f"is ended after {limit:.1f} s, {said}"))
    rests_on = UNTOLD if any(kind == "unended" for _, kind in found) else None
    return _hazard([(method, several) for (method, _), several in found.items()], settings, rests_on)


def unlimited_retries(seen: PortEffects, settings: Sequence[str]) -> Hazard:
    """Requests that are repeated when the service fails, and that wait for ever when it stalls.

    ``settings`` are the places that configure retries; those that a mesh makes by default are no hazard of a user's.
    """
    found: dict[str, list[tuple[Call, str]]] = {}
    for tried in _tried(seen) if settings else ():
        stalled, most = tried.stalled, _most(seen, (one for one in tried.calls if one.failure != STALL))
        if stalled and stalled.limit is None and seen.executions(stalled) == 1 and most > 1:
            words = f"is tried {most} times if it fails, and waited for {seen.patience:g} s when the service stalled"
            found.setdefault(tried.method, []).append((stalled, words))
    return _hazard(found.items(), settings)


def repeated_executions(seen: PortEffects, failed: Iterable[Call], settings: Sequence[str]) -> Hazard:
    """Requests that failed after they were executed, and were executed again.

    ``settings`` are the places that configure retries; a mesh may also make some by default.
    """
    found: dict[str, list[tuple[Call, str]]] = {}
    for call in failed:
        if (number := seen.executions(call)) > 1:
            found.setdefault(call.method, []).append((call, f"is executed {number} times"))
    return _hazard(found.items(), settings)


def unfired_retries(seen: PortEffects, written: Iterable[Retried]) -> Hazard:
    """Retry policies that fire for none of the failures that they name: each of these requests was executed once."""
    found, where, shown = [], [], list[Call]()
    for one in written:
        calls = [
            call for call in seen.failures if (call.method, call.failure) in COVERED and call.failure in one.failures
        ]
        arrived = [call for call in calls if call.arrived]
        if arrived and _most(seen, arrived) == 1:
            failures = " and ".join(sorted({call.failure for call in arrived}))
            found.append(f"{len(arrived)} requests that failed with {failures} were executed once each")
            shown += arrived
        elif one.beside_fault and _is_never_reached(seen):
            found.append("a fault in the same rule ends each request first, which no retry repeats")
            shown += seen.samples
        else:
            continue
        where.append(one.where)
    return Hazard(tuple(found), tuple(where), None, shown[0].exchange.request_id) if shown else Hazard()


COVERED = {("GET", "503"), ("GET", "reset"), (GRPC, "unavailable")}
"""The requests and failures that any retry policy covers which names the failure."""


def _tried(seen: PortEffects) -> Iterator[Tried]:
    for caller, calls in by_caller(seen.failures).items():
        for method in dict.fromkeys(one.method for one in calls):
            yield Tried(caller, method, tuple(one for one in calls if one.method == method))


def _needing_longer(seen: PortEffects, tried: Tried, limit: float, each: float | None) -> str:
    """What is said where all attempts together take longer than the limit; nothing where their length is not known."""
    most, stalled = _most(seen, tried.calls), tried.stalled
    if stalled is None or most < 2 or each is None or most * each <= limit + SPARE * each:
        return ""
    begun = seen.executions(stalled)
    takes = "takes" if begun > 1 else "may take"
    return f"with {begun} of {most} attempts begun: each {takes} {each:.1f} s, all of them {most * each:.1f} s"


def _beginning_late(stalled: Call) -> str:
    after = len(stalled.arrivals) - stalled.in_time
    return f"and {_attempts(after)} began after that" if after else ""


def _going_on(stalled: Call) -> str:
    """The description of work that goes on after the caller has its error; empty without any."""
    return f"and the service goes on with {_attempts(stalled.unended)}" if stalled.unended else ""


def _hazard(
    found: Iterable[tuple[str, Sequence[tuple[Call, str]]]], settings: Sequence[str], rests_on: Time | None = None
) -> Hazard:
    """What is said of the first caller of each method, with the number of the others."""
    said, shown = [], list[Call]()
    for method, several in found:
        calls = [call for call, _ in several]
        said.append(f"{method} from {of_callers(one.caller for one in calls)} {several[0][1]}")
        shown += calls
    return Hazard(tuple(said), tuple(settings), rests_on, shown[0].exchange.request_id) if shown else Hazard()


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _is_never_reached(seen: PortEffects) -> bool:
    """Whether all requests were answered before they reached the service."""
    answered = all(one.exchange.ending is Ending.ANSWERED and not one.arrived for one in seen.samples)
    return bool(seen.samples) and answered


def _most(seen: PortEffects, calls: Iterable[Call]) -> int:
    return max((seen.executions(one) for one in calls), default=0)


def _least_apart(calls: Iterable[Call]) -> float | None:
    """The shortest time of one attempt that stalled, of any caller, as a busy machine lengthens some; None without."""
    return min((apart for one in calls if one.failure == STALL and (apart := _apart(one)) is not None), default=None)


def _apart(stalled: Call) -> float | None:
    """Seconds between the first two attempts at one instance, whose clock both have; None if there were none."""
    moments: dict[str, list[float]] = {}
    for one in stalled.arrivals:
        moments.setdefault(one.attempt.instance, []).append(one.attempt.arrived)
    if len(moments) != 1:
        return None
    first = sorted(*moments.values())[:2]
    return first[1] - first[0] if len(first) > 1 else None
