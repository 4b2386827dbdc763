"""A hazard of a user's own configuration, and assertions on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.checks.claims import Claims
from pytest_meshcheck.checks.verdict import Time

SHOWN = 4
"""The findings and settings that a message lists."""


@dataclass(frozen=True)
class Hazard:
    """What was found of a hazard; nothing if ``found`` is empty.

    Attributes:
        found: What was observed, in words.
        settings: Where the manifests configure what may be the cause.
        rests_on: The stall that could explain it.
        request_id: A request that shows it; empty without one.
    """

    found: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    rests_on: Time | None = None
    request_id: str = ""

    def __str__(self) -> str:
        cause = f" (see {_listed(self.settings)})" if self.settings else ""
        return f"{_listed(self.found)}{cause}"


class HazardClaims(Claims[Hazard]):
    """Assertions on a hazard."""

    @property
    def request_id(self) -> str:
        """The request that shows it."""
        return self.seen.request_id

    def absent(self, expected: str) -> Hazard:
        """Nothing of it was found; ``expected`` says what holds then."""
        return self.require_in_time(not self.seen.found, expected, str(self.seen), self.seen.rests_on)


def _listed(entries: Sequence[str]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return "; ".join(entries[:SHOWN]) + more
