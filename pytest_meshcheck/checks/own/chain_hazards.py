"""Hazards of several services in a row: retries that multiply."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_meshcheck.checks.own.hazard import Hazard


@dataclass(frozen=True)
class Hop:
    """One call in a chain.

    Attributes:
        port: The port that is called.
        attempts: How often one request at the start of the chain has arrived there.
    """

    port: str
    attempts: int


@dataclass(frozen=True)
class ChainCall:
    """One request to the first service of a chain, each of which calls the next before it answers; the last one fails.

    Attributes:
        caller: Who sent it.
        method: Its method; ``call`` where all of them speak gRPC.
        failure: How the last service fails, and each of the others then.
        hops: The calls.
        request_id: Its id at all of them.
    """

    caller: str
    method: str
    failure: str
    hops: tuple[Hop, ...]
    request_id: str

    @property
    def arrived(self) -> bool:
        """Whether the last service saw it."""
        return self.hops[-1].attempts > 0

    @property
    def multiplies(self) -> bool:
        """Whether two calls or more were repeated, so that the later ones were repeated each time."""
        counts = [1, *(one.attempts for one in self.hops)]
        return sum(after > before for before, after in pairwise(counts)) > 1

    def __str__(self) -> str:
        *before, last = self.hops
        times = ", ".join(f"{_times(one.attempts)} at {one.port}" for one in before)
        ending = f"{_times(last.attempts)} at {last.port}, which fails with {self.failure}"
        return f"1 {self.method} from {self.caller} arrives {times} and {ending}"


def multiplied_retries(calls: Sequence[ChainCall], settings: Sequence[str]) -> Hazard:
    """Requests that are repeated by several callers in a row, so that the last service gets the product.

    ``settings`` are the places that configure retries; those that a mesh makes by default are no hazard of a user's.
    """
    found = [one for one in calls if one.multiplies] if settings else []
    return Hazard(tuple(map(str, found)), tuple(settings), None, found[0].request_id) if found else Hazard()


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
