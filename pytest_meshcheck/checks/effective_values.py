"""What a configuration comes to for the callers of a port, as a check saw it; small enough for report.json."""

from collections.abc import Iterator, Mapping

import msgspec

from pytest_meshcheck.checks.port_effects import STALL, Call, PortEffects, by_caller

PAUSES = (2.0, 4.0, 9.0)
"""Seconds for which a connection is idle before it is used again; together less than a caller waits for a stall."""

ALIKE = 0.3
"""Seconds by which two measurements of one limit may differ, or five percent of it."""


class EffectiveValues(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The values of callers that have the same."""

    destination: str
    """The port of the service, e.g. ``shop/orders:8080``."""
    callers: tuple[str, ...]
    """The callers of the mesh that are let in."""
    limits: Mapping[str, float]
    """Seconds until the mesh ended a request that stalled, by its method; a method without a limit is not there."""
    patience: float
    """Seconds that callers waited for such a limit."""
    attempts: Mapping[str, Mapping[str, int]]
    """How often the service executed one request, by its method and by how the service failed it.

    What never arrived is not there.
    """
    idle: float = 0.0
    """The shortest of several pauses in seconds after which a connection was closed; 0 after none of them."""
    identities: tuple[str, ...]
    """The identity of each caller that the mesh passes to the service; empty without one."""

    def is_like(self, other: "EffectiveValues") -> bool:
        """Whether these are the values of another caller, identities aside."""
        return (
            self.attempts == other.attempts
            and self.idle == other.idle
            and self.limits.keys() == other.limits.keys()
            and all(_are_alike(limit, other.limits[method]) for method, limit in self.limits.items())
        )


def effective_values(seen: PortEffects) -> tuple[EffectiveValues, ...]:
    """The values of a port; callers with equal ones are one entry, with the shortest of their limits."""
    found: list[EffectiveValues] = []
    for values in _of_each(seen):
        at = next((at for at, one in enumerate(found) if one.is_like(values)), None)
        if at is None:
            found.append(values)
        else:
            found[at] = _together(found[at], values)
    return tuple(found)


def _of_each(seen: PortEffects) -> Iterator[EffectiveValues]:
    failed = by_caller(seen.failures)
    for caller in dict.fromkeys((*failed, *seen.idle)):
        calls = failed.get(caller, [])
        limited = {one.method: one.limit for one in calls if one.failure == STALL}
        yield EffectiveValues(
            destination=seen.destination,
            callers=(caller,),
            limits={method: round(limit, 1) for method, limit in limited.items() if limit is not None},
            patience=seen.patience,
            attempts=_attempts(seen, calls),
            idle=seen.idle.get(caller, 0.0),
            identities=(seen.identities.get(caller, ""),),
        )


def _attempts(seen: PortEffects, calls: list[Call]) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for call in calls:
        counts = found.setdefault(call.method, {})
        if call.arrived:
            counts[call.failure] = seen.executions(call)
    return found


def _together(one: EffectiveValues, other: EffectiveValues) -> EffectiveValues:
    return msgspec.structs.replace(
        one,
        callers=(*one.callers, *other.callers),
        identities=(*one.identities, *other.identities),
        limits={method: min(limit, other.limits[method]) for method, limit in one.limits.items()},
    )


def _are_alike(one: float, other: float) -> bool:
    return abs(one - other) <= max(ALIKE, 0.05 * max(one, other))
