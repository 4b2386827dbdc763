"""The summary that pytest prints at the end of a run, as lines with their markup."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.doctor.finding import Finding, errors, tally
from pytest_meshcheck.report.baseline import of_change, summary
from pytest_meshcheck.report.formats.verdicts import LOOKS, attention, worst
from pytest_meshcheck.report.formats.words import duration, listed
from pytest_meshcheck.report.model import Change, Comparison, Report
from pytest_meshcheck.report.recorded import merged
from pytest_meshcheck.report.unjudged import Group, grouped, is_asked_for
from pytest_meshcheck.report.views import (
    contradictions,
    counts,
    families,
    headline,
    is_whole,
    limits,
    missing,
    plural,
    pulse,
    recorded,
    score,
    waits,
)

Markup = dict[str, bool]
Line = tuple[str, Markup]

COUNTED = (Verdict.CONFORMS, Verdict.VIOLATES, Verdict.INCONCLUSIVE, Verdict.UNSUPPORTED)
"""Verdicts whose number is shown even if it is 0."""

PLAIN: Markup = {}
WIDTH = 100
"""The width of a line of ids."""

SHOWN = 10
"""Changes of recorded tables that are printed."""


def lines(report: Report, report_path: Path | None) -> list[Line]:
    """The summary: families, verdicts that need attention, the comparison with the baseline, the path of the report.

    Each line comes with the keywords for ``TerminalReporter.write_line``. ``report_path`` is the path of report.html,
    None if it could not be written.
    """
    home = report_path.parent if report_path else Path()
    return [
        *_families(report),
        *_attention(report, home),
        *_contradictions(report),
        *_doctor(report.doctor or ()),
        *(_baseline(report.baseline) if report.baseline else ()),
        *([(f"waited for: {_waited(waited)}", PLAIN)] if (waited := waits(report)) else ()),
        *([(f"machine stalls: {stood}", {"yellow": True})] if (stood := pulse(report)) else ()),
        *_verdict(report),
        (f"note: {limits(report)}", PLAIN),
        *((f"stand-in: {one}", PLAIN) for one in report.stand_ins or ()),
        *([(f"report: {report_path}", PLAIN)] if report_path else ()),
    ]


def _waited(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{what} {duration(number)}" for what, number in seconds.items())


def _verdict(report: Report) -> Iterator[Line]:
    """The score and the headline; the headline comes first if the score does not cover everything."""
    line = f"score: {score(report).sentence}."
    whole = is_whole(report)
    yield f"{line} {headline(report)}" if whole else f"{headline(report)} {line}", {"bold": True, "yellow": not whole}


def _families(report: Report) -> Iterator[Line]:
    grouped = families(report.results)
    width = max((len(name) for name in grouped), default=0)
    for name, results in grouped.items():
        yield f"{name:<{width}}  {_tally(report, results)}{_wanting(missing(report, results))}", _worst(results)


def _tally(report: Report, results: Sequence[Result]) -> str:
    """The counts of a family: what counts in the score is apart from recorded facts and from what was not asked for."""
    facts = recorded(results)
    asked = [result for result in results if is_asked_for(report, result)]
    found = counts(result for result in asked if result not in facts)
    rows = {LOOKS[verdict].counted: found[verdict] for verdict in Verdict if verdict in COUNTED or found[verdict]}
    rest = {"recorded": len(facts), "not asked for": len(results) - len(asked)}
    return "  ".join(f"{number:3} {words}" for words, number in (rows | {k: n for k, n in rest.items() if n}).items())


def _wanting(capabilities: Sequence[str]) -> str:
    return f" ({', '.join(capabilities)})" if capabilities else ""


def _worst(results: Sequence[Result]) -> Markup:
    verdict = worst(counts(results))
    return dict(LOOKS[verdict].markup) if verdict else PLAIN


def _attention(report: Report, home: Path) -> Iterator[Line]:
    for verdict, look, found in attention(report.results):
        for group in _groups(verdict, found):
            yield f"  {look.word.upper()}  {_title(group)}", {"bold": True, **look.markup}
            yield from _about(report, group, home)


def _about(report: Report, group: Group, home: Path) -> Iterator[Line]:
    if len(group.results) > 1:
        yield from _wrapped("checks", textwrap.fill(group.checks, WIDTH, break_on_hyphens=False))
    for label, text in _particulars(report, group.first, home):
        yield from _wrapped(label, text)


def _groups(verdict: Verdict, results: Sequence[Result]) -> list[Group]:
    """The results grouped for display; each violation is alone, as it has its own expected and actual."""
    return [Group("", (one,)) for one in results] if verdict is Verdict.VIOLATES else grouped(results)


def _title(group: Group) -> str:
    if len(group.results) > 1:
        return f"{plural(len(group.results), 'check')} for one reason; particulars of the first:"
    return f"{group.first.id}  {group.first.level} {group.first.requirement}"


def _particulars(report: Report, result: Result, home: Path) -> Iterator[tuple[str, str]]:
    if result.verdict is Verdict.FIXED:
        yield "next", "it conforms: remove its entry from the expectations"
    if result.verdict is Verdict.VIOLATES and result.requirement in report.requirements:
        yield "requirement", report.requirements[result.requirement].text
    shown = _SHOWN[result.verdict]
    yield from ((label, text) for label, text in _rows(result, home) if label in shown and text)


def _rows(result: Result, home: Path) -> Iterator[tuple[str, str]]:
    yield "expected", result.expected
    yield "actual", result.actual
    yield "reason", result.reason
    yield "link", result.link
    yield "evidence", f"{home / result.evidence}/" if result.evidence else ""
    yield "reproduce", result.reproduce


_SHOWN: Mapping[Verdict, frozenset[str]] = {
    Verdict.VIOLATES: frozenset({"expected", "actual", "evidence", "reproduce"}),
    Verdict.FIXED: frozenset({"link"}),
    Verdict.INCONCLUSIVE: frozenset({"reason", "evidence", "reproduce"}),
    Verdict.KNOWN_VIOLATION: frozenset({"reason", "link"}),
}


def _wrapped(label: str, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines()):
        yield f"            {label if number == 0 else '':<11}  {line}", PLAIN


def _contradictions(report: Report) -> Iterator[Line]:
    for found in contradictions(report):
        ids = ", ".join(result.id for result in found.results)
        yield f"  CLAIM CONTRADICTED  {found.capability.name}: {ids}", {"red": True}


def _doctor(findings: Sequence[Finding]) -> Iterator[Line]:
    """The number of the doctor's findings, and its errors; the reports have all of them."""
    if findings:
        broken = errors(findings)
        yield f"meshcheck doctor, before the run: {tally(findings)}", {"red": True} if broken else PLAIN
        for one in broken:
            yield f"  ERROR  {one.object}: {one.why}", {"red": True}


def _baseline(comparison: Comparison) -> Iterator[Line]:
    worse = of_change(comparison, Change.WORSE)
    yield f"baseline: {summary(comparison)}", {"red": True} if worse else PLAIN
    for change, markup in ((Change.WORSE, {"red": True}), (Change.BETTER, {"green": True})):
        for item in of_change(comparison, change):
            yield f"  {change.upper():6}  {item.id}: {item.before} -> {item.now}", markup
    changed = [entry for one in comparison.tables or () for entry in merged(one.changes)]
    for entry in changed[:SHOWN]:
        yield (
            f"  CHANGED {listed(entry.rows)} for {listed(entry.columns)}: {entry.before} -> {entry.now}",
            {"yellow": True},
        )
    if len(changed) > SHOWN:
        yield f"  ... and {len(changed) - SHOWN} more in changes.md", PLAIN
