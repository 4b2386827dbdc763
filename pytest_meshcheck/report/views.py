"""What is computed from a report: counts, score, contradictions, and the verdict in one line."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_meshcheck.judge.verdict import Level, Result, Verdict
from pytest_meshcheck.report.model import (
    CONFORMING,
    JUDGED,
    VIOLATING,
    CapabilityRow,
    Observed,
    Report,
    Requirement,
)

NOTABLE = 0.5
"""Seconds from which on it is worth a line that a process of the run stood still."""


@dataclass(frozen=True)
class Score:
    """How many of the judged checks conform; unsupported and inconclusive ones are in neither number."""

    conforming: int
    judged: int

    def __str__(self) -> str:
        return f"{self.conforming}/{self.judged}"

    @property
    def sentence(self) -> str:
        """E.g. ``33/34 conform``."""
        return f"{self} conform" if self.judged else "nothing judged"


@dataclass(frozen=True)
class Contradiction:
    """A capability that the mesh claims, and the results that say otherwise."""

    capability: CapabilityRow
    results: tuple[Result, ...]


def family(check_id: str) -> str:
    """The family of a check: what stands before the first slash of its id."""
    return check_id.partition("/")[0]


def families(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by family, both in the order in which they came."""
    grouped: dict[str, list[Result]] = {}
    for result in results:
        grouped.setdefault(family(result.id), []).append(result)
    return grouped


def counts(results: Iterable[Result]) -> Counter[Verdict]:
    """How many results there are of each verdict."""
    return Counter(result.verdict for result in results)


def of(verdict: Verdict, results: Iterable[Result]) -> list[Result]:
    """The results with one verdict."""
    return [result for result in results if result.verdict is verdict]


def judged(results: Iterable[Result]) -> list[Result]:
    """The results that a score is made of. A MAY check records a fact and cannot fail: it is not among them."""
    return [result for result in results if result.verdict in JUDGED and result.level is not Level.MAY]


def recorded(results: Iterable[Result]) -> list[Result]:
    """The results of MAY checks: facts and figures."""
    return [result for result in results if result.verdict in JUDGED and result.level is Level.MAY]


def score(results: Iterable[Result]) -> Score:
    """The score of these results."""
    among = judged(results)
    return Score(sum(result.verdict in CONFORMING for result in among), len(among))


def contradictions(report: Report) -> list[Contradiction]:
    """Capabilities that are claimed, although a check that needs them violates."""
    return [
        Contradiction(row, tuple(r for r in report.results if row.name in r.needs and r.verdict in VIOLATING))
        for row in report.capabilities
        if row.claimed and row.observed is Observed.CONTRADICTED
    ]


def requirement(report: Report, result: Result) -> Requirement:
    """The requirement of a check; its id stands in for a text that the report does not have."""
    return report.requirements.get(result.requirement, Requirement(result.requirement))


def defects(report: Report, check_id: str) -> tuple[str, ...]:
    """The defects that a check was seen to catch, be they listed for its parameters or for the whole check."""
    whole_check = report.defects.get(check_id.partition("[")[0], ())
    return report.defects.get(check_id, whole_check)


def missing(report: Report, results: Iterable[Result]) -> list[str]:
    """The capabilities, not claimed, for want of which checks were unsupported."""
    claimed = {row.name for row in report.capabilities if row.claimed}
    needs = {need for result in of(Verdict.UNSUPPORTED, results) for need in result.needs}
    return sorted(needs - claimed)


def headline(report: Report) -> str:
    """The verdict on the mesh in one line."""
    found, total = counts(report.results), score(report.results)
    broken = found[Verdict.VIOLATES] + found[Verdict.KNOWN_VIOLATION]
    if total.judged == 0:
        line = f"Nothing is known of {report.mesh}: no check was judged."
    elif broken:
        known = f", {found[Verdict.KNOWN_VIOLATION]} of them known" if found[Verdict.KNOWN_VIOLATION] else ""
        line = f"{report.mesh} violates {broken} of {plural(total.judged, 'judged check')}{known}."
    else:
        line = f"{report.mesh} conforms in all {plural(total.judged, 'judged check')}."
    return line if report.complete else f"{line} The run was interrupted."


def beside(report: Report) -> list[str]:
    """What stands beside the score and is never part of it, e.g. ``3 unsupported``."""
    found = counts(report.results)
    apart = (Verdict.UNSUPPORTED, Verdict.INCONCLUSIVE, Verdict.FIXED, Verdict.NOT_RUN)
    words: Mapping[Verdict, str] = {
        Verdict.FIXED: "fixed, still listed in the expectations",
        Verdict.NOT_RUN: "not run",
    }
    parts = [f"{found[verdict]} {words.get(verdict, verdict)}" for verdict in apart if found[verdict]]
    facts = len(recorded(report.results))
    return [*parts, f"{plural(facts, 'fact')} recorded (MAY)"] if facts else parts


def plural(number: int, noun: str) -> str:
    """A number with its noun, e.g. ``1 check``, ``2 checks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def where(report: Report) -> list[str]:
    """What the mesh ran on, and of which form its data planes are where that is known."""
    return [one for one in (report.platform, report.data_planes) if one]


def pulse(report: Report) -> str:
    """Which processes of the run stood still for how long, in one line; empty where none did for long."""
    stood = {kind: seconds for kind, seconds in (report.pulse or {}).items() if seconds >= NOTABLE}
    return ", ".join(f"{kind} stood still for up to {seconds:.1f} s" for kind, seconds in stood.items())
