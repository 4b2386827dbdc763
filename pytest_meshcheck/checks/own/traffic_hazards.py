"""Hazards of injected faults and delays, and of mirrors, in requests that the services serve."""

from collections.abc import Iterable, Sequence

from pytest_meshcheck.checks.own.hazard import Hazard
from pytest_meshcheck.checks.port_effects import Call, PortEffects, by_caller, of_callers
from pytest_meshcheck.checks.verdict import Time
from pytest_meshcheck.model.observation import Ending

LEAST = 2
"""Requests that show a fault or a mirror: a single one may have met a connection that was just closed."""

NO_FAULT = ("status 401", "status 403", "status 404", "status 429", "grpc-status 7", "grpc-status 8", "grpc-status 16")
"""Answers of a mesh that does not let a caller in, knows no route, or limits a rate."""

OF_A_MESH = ("status 503", "status 504", "grpc-status 4", "grpc-status 12", "grpc-status 14")
"""Answers that a mesh also gives where a service has no endpoint, or does not answer in time."""

OVERLOADED = "x-envoy-overloaded"
"""The header of an answer by a circuit breaker."""

SHARE = 0.2
"""The fraction of all requests that shows a delay which nothing configures."""

LONGER = 3.0
"""How many times as long such a delay has to be."""

PART = 0.5
"""The fraction of all delays of one caller, whose requests follow each other, that a stall must explain."""


MANY, EQUAL = 5, 0.8
"""Delays that are equal: so many, of which the shortest is this fraction of the longest."""


def injected_fault(seen: PortEffects, settings: Sequence[str]) -> Hazard:
    """Requests that the mesh answered itself.

    Where a service sees some requests of a caller and others not, that is a fault by chance. Where it sees none, the
    answer tells a fault from a denial; ``settings``, the places that configure faults, decide about the other answers.
    """
    found: dict[tuple[str, str], list[Call]] = {}
    for sent in (alike for of_one in by_caller(seen.samples).values() for alike in _by_shape(of_one)):
        by_chance = any(one.arrived for one in sent)
        for call in sent:
            if not call.arrived and _is_fault(call, by_chance=by_chance, configured=bool(settings)):
                found.setdefault((call.shape, call.form), []).append(call)
    said = [f"{_of_all(seen, calls)} ended with {form}, and it never saw them" for (_, form), calls in found.items()]
    return _hazard(said, [one for calls in found.values() for one in calls], settings)


def injected_delay(seen: PortEffects, settings: Sequence[str], tolerance: float) -> Hazard:
    """Requests that took longer than ``tolerance`` in seconds, although the service answered at once.

    Where no fault is configured, it has to be ``SHARE`` of all, and ``LONGER``: a busy machine delays some.
    """
    least = tolerance if settings else LONGER * tolerance
    late = [one for one in seen.samples if one.arrived and _in_between(one) > least]
    if not settings and len(late) < SHARE * len(seen.samples):
        return Hazard()
    said = []
    for calls in _by_shape(late):
        took, between = calls[0].exchange.seconds, _in_between(calls[0])
        spent = f"took {took:.1f} s, {took - between:.1f} s of it there"
        said.append(f"{_of_all(seen, calls)} {spent}")
    return _hazard(said, late, settings, _stall_for(late, tolerance))


def mirrored_requests(seen: PortEffects, settings: Sequence[str]) -> Hazard:
    """Requests that were answered well, and that arrived more than once."""
    copied = [one for one in seen.samples if not one.form and len(one.arrivals) > 1]
    said = [
        f"{_of_all(seen, calls)} arrived at {', '.join(_copies(seen, calls))} as well" for calls in _by_shape(copied)
    ]
    return _hazard(said, copied, settings)


def _stall_for(late: Sequence[Call], tolerance: float) -> Time | None:
    """The stall that explains delays: it lasts for half of the delays of one caller, whose requests are sequential.

    Nothing explains many equal ones, as a stall delays each request that it meets by another time.
    """
    seconds = [one.exchange.seconds for one in late]
    if len(late) >= MANY and min(seconds) >= max(2 * tolerance, EQUAL * max(seconds)):
        return None
    longest = max((sum(one.exchange.seconds for one in calls) for calls in by_caller(late).values()), default=0.0)
    return Time(PART * longest, longest)


def _is_fault(call: Call, *, by_chance: bool, configured: bool) -> bool:
    """Whether a request that never arrived met a fault; a caller that gave up may have met a busy machine instead."""
    if call.exchange.ending is not Ending.ANSWERED:
        return configured and call.exchange.ending is Ending.TIMED_OUT
    if call.form in NO_FAULT or call.form.startswith("status 3") or call.exchange.header(OVERLOADED) is not None:
        return False
    may_fail = call.form.startswith(("status 5", "grpc-status")) and call.form not in OF_A_MESH
    return bool(call.form) and (by_chance or configured or may_fail)


def _in_between(call: Call) -> float:
    """Seconds of a request that passed outside of the service, by the clocks of both ends."""
    first = call.arrivals[0].attempt
    return call.exchange.seconds - ((first.answered or first.arrived) - first.arrived)


def _by_shape(calls: Iterable[Call]) -> list[list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.shape, []).append(call)
    return list(found.values())


def _of_all(seen: PortEffects, calls: Sequence[Call]) -> str:
    """How many of the requests of these callers and of this shape, e.g. ``3 of 20 GET / from shop/web``."""
    callers, shape = dict.fromkeys(one.caller for one in calls), calls[0].shape
    sent = sum(one.caller in callers and one.shape == shape for one in seen.samples)
    return f"{len(calls)} of {sent} {shape} from {of_callers(callers)}"


def _copies(seen: PortEffects, sent: Iterable[Call]) -> list[str]:
    """The stand-ins that saw copies: those that nobody called, or else all that saw such a request."""
    names = {one.stand_in for call in sent for one in call.arrivals}
    return sorted((names - seen.backends) or names)


def _hazard(
    found: Sequence[str], calls: Sequence[Call], settings: Sequence[str], rests_on: Time | None = None
) -> Hazard:
    if len(calls) < LEAST:
        return Hazard()
    return Hazard(tuple(found), tuple(settings), rests_on, calls[0].exchange.request_id)
