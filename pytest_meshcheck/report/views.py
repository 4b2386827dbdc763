"""What is computed from a report: counts, score, contradictions, and the verdict in one line."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report.model import (
    CONFORMING,
    JUDGED,
    VIOLATING,
    CapabilityRow,
    Observed,
    Report,
    Requirement,
    Summary,
)
from pytest_meshcheck.report.unjudged import breakdown, causes, unjudged

NOTABLE = 0.5
"""Seconds from which on it is worth a line that a process of the run stood still."""


@dataclass(frozen=True)
class Score:
    """How many of the judged checks conform; while some could not be judged, how many were.

    Unsupported checks are in no number.
    """

    conforming: int
    judged: int
    unjudged: int = 0

    def __str__(self) -> str:
        if self.unjudged:
            return f"{self.judged}/{self.asked}"
        return f"{self.conforming}/{self.judged}"

    @property
    def asked(self) -> int:
        """How many checks were to be judged."""
        return self.judged + self.unjudged

    @property
    def unit(self) -> str:
        """What the figures count."""
        return "checks judged" if self.unjudged else "judged checks conform"

    @property
    def sentence(self) -> str:
        """E.g. ``33/34 conform``, or ``62 of 107 judged, 1 violates``."""
        if self.unjudged:
            violating = self.judged - self.conforming
            found = f", {violating} violate{'s' if violating == 1 else ''}" if violating else ""
            return f"{self.judged} of {self.asked} judged{found}"
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


def score(report: Report, results: Iterable[Result] | None = None) -> Score:
    """The score of a report, or of these of its results."""
    chosen = list(report.results if results is None else results)
    among, ids = judged(chosen), {result.id for result in chosen}
    missing = [result for result in unjudged(report) if result.id in ids]
    return Score(sum(result.verdict in CONFORMING for result in among), len(among), len(missing))


def contradictions(report: Report) -> list[Contradiction]:
    """Capabilities that are claimed, although a check that proves them violates."""
    return [
        Contradiction(row, tuple(r for r in report.results if row.name in r.proven and r.verdict in VIOLATING))
        for row in report.capabilities
        if row.claimed and row.observed is Observed.CONTRADICTED
    ]


def used(result: Result) -> list[str]:
    """The capabilities that a check builds on and does not prove."""
    return [name for name in result.needs if name not in result.proven]


def observed(report: Report, row: CapabilityRow) -> str:
    """What a run says of a capability, in words; where no check could have said anything, that."""
    if any(row.name in result.proven for result in report.results):
        return row.observed.replace("-", " ")
    return "no check proves it"


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


def is_whole(report: Report) -> bool:
    """Whether every check that was asked for has a verdict on the mesh."""
    return report.complete and not unjudged(report)


def headline(report: Report) -> str:
    """The verdict on the mesh in one line; what could not be judged comes first."""
    parts = [] if report.complete else ["The run was interrupted."]
    total = score(report)
    if total.unjudged:
        were = "was" if total.unjudged == 1 else "were"
        checks = plural(total.asked, "check")
        parts.append(f"{total.unjudged} of {checks} {were} not judged: {breakdown(report)}.")
    return " ".join([*parts, _finding(report)])


def _finding(report: Report) -> str:
    found, total = counts(report.results), score(report)
    broken = found[Verdict.VIOLATES] + found[Verdict.KNOWN_VIOLATION]
    if total.judged == 0:
        return f"Nothing is known of {report.mesh}: no check was judged."
    if broken:
        known = f", {found[Verdict.KNOWN_VIOLATION]} of them known" if found[Verdict.KNOWN_VIOLATION] else ""
        return f"{report.mesh} violates {broken} of {plural(total.judged, 'judged check')}{known}."
    if is_whole(report):
        return f"{report.mesh} conforms in all {plural(total.judged, 'judged check')}."
    return f"No violation of {report.mesh} in {plural(total.judged, 'judged check')}."


def summarised(report: Report) -> Report:
    """The report with its summary."""
    summary = Summary(headline=headline(report), score=score(report).sentence, unjudged=causes(report))
    return msgspec.structs.replace(report, summary=summary)


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


LIMITS = "The mesh was tested with workloads of the suite; the configuration of other namespaces was not looked at."
"""What no run looks at, whatever its verdicts."""


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
