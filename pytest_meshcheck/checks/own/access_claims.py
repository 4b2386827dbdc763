"""Assertions on who reaches a port, compared with who is to reach it."""

from collections.abc import Iterable

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.checks.claims import GAVE_UP, Claims
from pytest_meshcheck.checks.own.expected_access import ComparedAccess
from pytest_meshcheck.checks.verdict import Time

STALLED = Time(lost=1.5, during=30.0)
"""The stall that explains why a caller gave up: half of its patience, at any time of the rounds that have to agree."""


class AccessClaims(Claims[ComparedAccess]):
    """Assertions on access."""

    def refused(self) -> ComparedAccess:
        """No caller got in that must not, by name or by address."""
        leaks = self.seen.leaks
        return self.require_in_time(not leaks, "nobody else to get in", _listed(leaks), None, leak=True)

    def served(self) -> ComparedAccess:
        """Everybody was served by name that has to be. A stall can explain that a caller gave up."""
        missing = self.seen.missing
        rests_on = STALLED if any(str(form) in one.form for one in missing for form in GAVE_UP) else None
        expected = "each of its callers to be served by name"
        return self.require_in_time(not missing, expected, _listed(missing), rests_on)


def _listed(entries: Iterable[Access]) -> str:
    return "; ".join(f"{one.way}: {one.words}" for one in entries)
