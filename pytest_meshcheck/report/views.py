"""Values computed from a report: counts, score, contradictions, and the headline."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.checks.requirements import Requirement
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report.model import (
    CONFORMING,
    JUDGED,
    VIOLATING,
    CapabilityRow,
    Observed,
    Report,
    Summary,
)
from pytest_meshcheck.report.unjudged import breakdown, causes, is_asked_for, unjudged

OWN = "own"
"""The family of the checks about a user's manifests."""

NOTABLE = 0.5
"""The shortest stall in seconds that reports mention."""


@dataclass(frozen=True)
class Score:
    """Conforming checks out of the conclusive ones; conclusive checks out of the selected ones if some are not.

    Unsupported checks are not counted.
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
        """The number of selected checks."""
        return self.judged + self.unjudged

    @property
    def unit(self) -> str:
        """The unit of the figures."""
        return "checks conclusive" if self.unjudged else "conclusive checks conform"

    @property
    def sentence(self) -> str:
        """E.g. ``33/34 conform``, or ``62 of 107 conclusive, 1 violates``."""
        if self.unjudged:
            violating = self.judged - self.conforming
            found = f", {violating} violate{'s' if violating == 1 else ''}" if violating else ""
            return f"{self.judged} of {self.asked} conclusive{found}"
        return f"{self} conform" if self.judged else "nothing conclusive"


@dataclass(frozen=True)
class Contradiction:
    """A capability that the mesh claims, and the results that contradict it."""

    capability: CapabilityRow
    results: tuple[Result, ...]


def family(check_id: str) -> str:
    """The family of a check: the part of its id before the first slash."""
    return check_id.partition("/")[0]


def families(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results by family, in their order."""
    grouped: dict[str, list[Result]] = {}
    for result in results:
        grouped.setdefault(family(result.id), []).append(result)
    return grouped


def counts(results: Iterable[Result]) -> Counter[Verdict]:
    """The number of results of each verdict."""
    return Counter(result.verdict for result in results)


def of(verdict: Verdict, results: Iterable[Result]) -> list[Result]:
    """The results with one verdict."""
    return [result for result in results if result.verdict is verdict]


def judged(results: Iterable[Result]) -> list[Result]:
    """The results that count in the score: no MAY checks, which record facts and cannot fail."""
    return [result for result in results if result.verdict in JUDGED and result.level is not Level.MAY]


def recorded(results: Iterable[Result]) -> list[Result]:
    """The results of MAY checks: facts and figures."""
    return [result for result in results if result.verdict in JUDGED and result.level is Level.MAY]


def score(report: Report, results: Iterable[Result] | None = None) -> Score:
    """The score of a report, or of some of its results."""
    chosen = list(report.results if results is None else results)
    among, ids = judged(chosen), {result.id for result in chosen}
    missing = [result for result in unjudged(report) if result.id in ids]
    return Score(sum(result.verdict in CONFORMING for result in among), len(among), len(missing))


def contradictions(report: Report) -> list[Contradiction]:
    """The claimed capabilities for which a proving check violates."""
    return [
        Contradiction(row, tuple(r for r in report.results if row.name in r.proven and r.verdict in VIOLATING))
        for row in report.capabilities
        if row.claimed and row.observed is Observed.CONTRADICTED
    ]


def used(result: Result) -> list[str]:
    """The capabilities that a check uses but does not prove."""
    return [name for name in result.needs if name not in result.proven]


def capabilities(report: Report) -> tuple[CapabilityRow, ...]:
    """The capabilities of the mesh; none where no check of the run can prove one, as those of a user's manifests."""
    return report.capabilities if any(result.proven for result in report.results) else ()


def observed(report: Report, row: CapabilityRow) -> str:
    """The observation of a capability in words, or that no check proves it."""
    if any(row.name in result.proven for result in report.results):
        return row.observed.replace("-", " ")
    return "no check proves it"


def requirement(report: Report, result: Result) -> Requirement:
    """The requirement of a check; its id replaces a missing text."""
    return report.requirements.get(result.requirement, Requirement(result.requirement, sources=()))


def defects(report: Report, check_id: str) -> tuple[str, ...]:
    """The defects that a check has caught, listed for its parameters or for the whole check."""
    whole_check = report.defects.get(check_id.partition("[")[0], ())
    return report.defects.get(check_id, whole_check)


def missing(report: Report, results: Iterable[Result]) -> list[str]:
    """The unclaimed capabilities that made checks unsupported."""
    claimed = {row.name for row in report.capabilities if row.claimed}
    needs = {need for result in of(Verdict.UNSUPPORTED, results) for need in result.needs}
    return sorted(needs - claimed)


def is_whole(report: Report) -> bool:
    """Whether every selected check has a verdict on the mesh."""
    return report.complete and not unjudged(report)


def headline(report: Report, *, causes: bool = True) -> str:
    """The verdict on the mesh in one line; checks without a verdict come first, with their causes."""
    parts = [] if report.complete else ["The run was interrupted."]
    total = score(report)
    if total.unjudged:
        were = "was" if total.unjudged == 1 else "were"
        checks = plural(total.asked, "check")
        why = f": {breakdown(report)}" if causes else ""
        parts.append(f"{total.unjudged} of {checks} {were} not conclusive{why}.")
    return " ".join([*parts, _finding(report)])


def _finding(report: Report) -> str:
    found, total, subject = counts(report.results), score(report), _subject(report)
    broken = found[Verdict.VIOLATES] + found[Verdict.KNOWN_VIOLATION]
    if total.judged == 0:
        return f"Nothing is known about {subject}: no check was conclusive."
    if broken:
        known = f", {found[Verdict.KNOWN_VIOLATION]} of them known" if found[Verdict.KNOWN_VIOLATION] else ""
        return _begun(f"{subject} violates {broken} of {plural(total.judged, 'conclusive check')}{known}.")
    if is_whole(report):
        return _begun(f"{subject} conforms in all {plural(total.judged, 'conclusive check')}.")
    return f"No violation of {subject} in {plural(total.judged, 'conclusive check')}."


def _subject(report: Report) -> str:
    """What is judged: a mesh, or what a user configured in it."""
    return f"this configuration of {report.mesh}" if is_trial(report) else str(report.mesh)


def _begun(sentence: str) -> str:
    """A sentence about a configuration, with its capital; names of meshes have none."""
    return f"T{sentence[1:]}" if sentence.startswith("this ") else sentence


def is_trial(report: Report) -> bool:
    """Whether all checks are about a user's manifests."""
    return bool(report.results) and all(family(result.id) == OWN for result in report.results)


def summarised(report: Report) -> Report:
    """The report with its summary."""
    summary = Summary(headline=headline(report), score=score(report).sentence, unjudged=causes(report))
    return msgspec.structs.replace(report, summary=summary)


@dataclass(frozen=True)
class Apart:
    """A count outside the score.

    Attributes:
        number: How many checks.
        words: What they are.
        verdict: Their verdict.
    """

    number: int
    words: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.number} {self.words}"


def apart(report: Report) -> list[Apart]:
    """The counts outside the score by verdict; checks that the run did not ask for have a count of their own."""
    asked = [result for result in report.results if is_asked_for(report, result)]
    found, others = counts(asked), len(report.results) - len(asked)
    rows = (
        Apart(found[Verdict.UNSUPPORTED], "unsupported", Verdict.UNSUPPORTED),
        Apart(found[Verdict.INCONCLUSIVE], "inconclusive", Verdict.INCONCLUSIVE),
        Apart(found[Verdict.FIXED], "fixed, still listed", Verdict.FIXED),
        Apart(found[Verdict.NOT_RUN], "not run", Verdict.NOT_RUN),
        Apart(others, "not asked for", Verdict.NOT_RUN),
    )
    return [row for row in rows if row.number]


def beside(report: Report) -> list[str]:
    """The counts outside the score, e.g. ``3 unsupported``, and the facts that were recorded."""
    parts, facts = list(map(str, apart(report))), len(recorded(report.results))
    return [*parts, f"{plural(facts, 'fact')} recorded (MAY)"] if facts else parts


LIMITS = "The mesh was tested with workloads of the suite; the configuration of other namespaces was"
"""The limit of every run."""


STAND_INS = "Probes stood in for the workloads of the manifests: the code of these workloads was not run."
"""The limit of a run that put a user's manifests on trial."""


def limits(report: Report) -> str:
    """What a run did not test."""
    if is_trial(report):
        return STAND_INS
    return f"{LIMITS} {'examined by meshcheck doctor only' if report.doctor else 'not examined'}."


def plural(number: int, noun: str) -> str:
    """A number with its noun, e.g. ``1 check``, ``2 checks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def where(report: Report) -> list[str]:
    """The platform of the mesh, the form of its data planes if known, and what stood in for parts of it."""
    known = [one for one in (report.platform, report.data_planes) if one]
    return [*known, *(f"with {one}" for one in report.stand_ins or ())]


def waits(report: Report) -> dict[str, float]:
    """Seconds of all checks by kind of wait, longest first, then the remainder."""
    found: dict[str, float] = {}
    for result in report.results:
        left = result.seconds
        for what, seconds in (result.history.spent if result.history else {}).items():
            counted = min(seconds, left)  # a request that was made ahead has taken longer than its check
            found[what] = found.get(what, 0.0) + counted
            left -= counted
    most_first = dict(sorted(found.items(), key=lambda one: -one[1]))
    rest = sum(result.seconds for result in report.results) - sum(found.values())
    return {**most_first, "other": rest} if found else {}


def pulse(report: Report) -> str:
    """The longest stall of each kind of process in one line; empty if all were short."""
    stood = {kind: seconds for kind, seconds in (report.pulse or {}).items() if seconds >= NOTABLE}
    return ", ".join(f"{kind} paused for up to {seconds:.1f} s" for kind, seconds in stood.items())
