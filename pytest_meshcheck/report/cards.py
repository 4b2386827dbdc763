"""Cards of violations: one per requirement, with equal observations stated once."""

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_meshcheck.checks.verdict import Result
from pytest_meshcheck.report.unjudged import alike


@dataclass(frozen=True)
class Finding:
    """Results with the same expectation and observation, apart from names, addresses and durations."""

    results: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """The representative result."""
        return self.results[0]


@dataclass(frozen=True)
class Card:
    """The findings about one requirement."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Result:
        """The first result."""
        return self.findings[0].first

    @property
    def results(self) -> tuple[Result, ...]:
        """All results of the card."""
        return tuple(result for finding in self.findings for result in finding.results)

    @property
    def title(self) -> str:
        """The check with its parameters; the check alone for several parameters; the requirement for several checks."""
        if len(self.results) == 1:
            return self.first.id
        checks = {result.id.partition("[")[0] for result in self.results}
        return checks.pop() if len(checks) == 1 else self.first.requirement


def cards(results: Iterable[Result]) -> list[Card]:
    """The results grouped by requirement, in their order."""
    found: dict[tuple[str, str], dict[tuple[str, ...], list[Result]]] = {}
    for result in results:
        seen = alike(result.expected), alike(result.actual), alike(result.reason), result.link
        found.setdefault((result.requirement, result.level), {}).setdefault(seen, []).append(result)
    return [Card(tuple(Finding(tuple(members)) for members in findings.values())) for findings in found.values()]
