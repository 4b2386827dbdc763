"""Time accounting of a check: seconds by kind of wait, extracted from its journal."""

from collections.abc import Iterable, Iterator, Mapping

from pytest_meshcheck.model.journal import BEGINS, ENDS, Entry
from pytest_meshcheck.model.observation import Exchange, LoadOutcome

Interval = tuple[float, float]
"""Begin and end, in seconds since the epoch by the clock of the run."""

CHANGES = "rotations, restarts and outages"
POLICIES = "policies to take effect"
TRAFFIC = "traffic"


def spent(entries: Iterable[Entry]) -> Mapping[str, float]:
    """Seconds by kind of wait; time that several kinds share counts for the first of them."""
    found = list(entries)
    kinds = {CHANGES: _changes(found), POLICIES: _policies(found), TRAFFIC: _traffic(found)}
    seconds: dict[str, float] = {}
    so_far: list[Interval] = []
    for kind, intervals in kinds.items():
        before = covered(so_far)
        so_far += intervals
        seconds[kind] = covered(so_far) - before
    return seconds


def covered(intervals: Iterable[Interval]) -> float:
    """The seconds that lie in at least one of these intervals."""
    total, reached = 0.0, float("-inf")
    for begun, ended in sorted(intervals):
        total += max(ended - max(begun, reached), 0.0)
        reached = max(reached, ended)
    return total


def _changes(entries: Iterable[Entry]) -> Iterator[Interval]:
    begun: dict[tuple[str, str], float] = {}
    for entry in entries:
        action = entry.kind, entry.subject
        if entry.observation == BEGINS:
            begun[action] = entry.wall
        elif entry.observation == ENDS and action in begun:
            yield begun.pop(action), entry.wall


def _policies(entries: Iterable[Entry]) -> Iterator[Interval]:
    for entry in entries:
        if entry.kind == "in effect" and isinstance(entry.observation, float):
            yield entry.wall - entry.observation, entry.wall


def _traffic(entries: Iterable[Entry]) -> Iterator[Interval]:
    for entry in entries:
        if isinstance(entry.observation, Exchange):
            yield entry.wall - entry.observation.seconds, entry.wall
        elif isinstance(entry.observation, LoadOutcome):
            yield entry.wall - len(entry.observation.slices) * entry.observation.step, entry.wall
