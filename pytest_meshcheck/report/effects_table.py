"""What a user's configuration comes to, as a table of a report: limits, attempts and identities, by port."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from pytest_meshcheck.checks.effective_values import ALIKE, PAUSES, EffectiveValues
from pytest_meshcheck.checks.verdict import Result

WITHOUT_REQUESTS = "no requests"
"""The entry of a TCP port."""

TITLE = "Effective values"
"""The heading of the table."""


@dataclass(frozen=True)
class EffectsRow:
    """One port, and callers with equal values.

    Attributes:
        destination: The port.
        callers: Their names.
        limit: The limit on time in words, e.g. ``2 s``.
        unlimited: Whether some requests have none.
        idle: How long a connection may be idle, in words.
        attempts: How often requests are executed that fail, in words, e.g. ``GET 3 (stall 1), POST 1``.
        identity: The caller identities that the mesh passes to the service, in words.
    """

    destination: str
    callers: str
    limit: str
    unlimited: bool
    idle: str
    attempts: str
    identity: str


def effects_table(results: Iterable[Result]) -> tuple[EffectsRow, ...]:
    """The rows of all results that have a part of it."""
    entries = [one for result in results if result.effective is not msgspec.UNSET for one in result.effective]
    return tuple(
        EffectsRow(
            destination=one.destination,
            callers=", ".join(one.callers),
            limit=limit_in_words(one),
            unlimited=not one.attempts.keys() <= one.limits.keys(),
            idle=idle_in_words(one),
            attempts=attempts_in_words(one),
            identity=_identities([name for name in dict.fromkeys(one.identities) if name]) or "none",
        )
        for one in entries
    )


def attempts_in_words(values: EffectiveValues) -> str:
    """How often requests are executed that fail, e.g. ``GET 3 (stall 1), POST 1``."""
    if not values.attempts:
        return WITHOUT_REQUESTS
    return _by_method({method: _attempts(counts) for method, counts in values.attempts.items()})


def limit_in_words(values: EffectiveValues) -> str:
    """The limit on time, e.g. ``2 s``, or ``none within 16 s``."""
    if not values.attempts:
        return WITHOUT_REQUESTS
    none, limits = f"none within {values.patience:g} s", values.limits.values()
    if values.limits.keys() == values.attempts.keys() and max(limits) - min(limits) <= ALIKE:
        return f"{min(limits):g} s"
    return _by_method(
        {method: f"{values.limits[method]:g} s" if method in values.limits else none for method in values.attempts}
    )


def idle_in_words(values: EffectiveValues) -> str:
    """How long a connection may be idle, e.g. ``up to 4 s``, or ``9 s and more``."""
    return f"up to {values.idle:g} s" if values.idle else f"{PAUSES[-1]:g} s and more"


def _by_method(words: Mapping[str, str]) -> str:
    """What holds for all methods, or for each of them."""
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{method} {said}" for method, said in words.items())


def _attempts(counts: Mapping[str, int]) -> str:
    """One number where all failures have the same, else the most common one and what differs."""
    if not counts:
        return "not seen"
    most = max(counts.values(), key=lambda number: (list(counts.values()).count(number), number))
    others = [f"{failure} {number}" for failure, number in counts.items() if number != most]
    return f"{most} ({', '.join(others)})" if others else f"{most}"


def _identities(names: Sequence[str]) -> str:
    """Several identities, of which the steps that all have are written once."""
    steps = [name.split("/") for name in names]
    shared = sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*steps, strict=False)))
    if len(names) < 2 or not shared:
        return ", ".join(names)
    return f"{'/'.join(steps[0][:shared])}/… {', '.join('/'.join(one[shared:]) for one in steps)}"
