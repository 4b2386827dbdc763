"""report.md: the report for a job summary or a pull request."""

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_meshcheck.checks.described import one_line
from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.doctor.finding import Finding, tally
from pytest_meshcheck.report.access_matrix import TITLE, AccessMatrix, Cell, access_matrix
from pytest_meshcheck.report.baseline import noteworthy, summary
from pytest_meshcheck.report.cards import Card, cards
from pytest_meshcheck.report.effects_table import TITLE as EFFECTS, EffectsRow, effects_table
from pytest_meshcheck.report.formats.verdicts import CONTRADICTED, LOOKS, attention
from pytest_meshcheck.report.formats.words import listed, moment
from pytest_meshcheck.report.model import Change, Comparison, Report
from pytest_meshcheck.report.recorded import MergedChange, merged
from pytest_meshcheck.report.unjudged import grouped
from pytest_meshcheck.report.views import (
    beside,
    capabilities,
    contradictions,
    families,
    headline,
    limits,
    missing,
    observed,
    plural,
    pulse,
    requirement,
    score,
    where,
)

COLUMNS = 10
"""Callers that have a column each."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>&#|~])")


def escape(text: str) -> str:
    """The text escaped as one line of Markdown, also for tables."""
    return _SPECIAL.sub(r"\\\1", one_line(text))


def code(text: str) -> str:
    """The text as inline code, whatever it contains; tables need an escaped bar even there."""
    line = one_line(text).replace("|", r"\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def link(title: str, url: str) -> str:
    """A link if the URL is http or https, otherwise text."""
    target = re.sub(r"[\s()<>]", lambda match: f"%{ord(match[0]):02X}", url)
    return f"[{escape(title)}]({target})" if url.startswith(("https://", "http://")) else escape(f"{title} {url}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown cells."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    return "\n".join(
        [
            *_head(report),
            *_contradictions(report),
            *_attention(report),
            *(_baseline(report, report.baseline) if report.baseline else ()),
            *_doctor(report.doctor or ()),
            *_access(report),
            *_effects(report),
            *_families(report),
            *_capabilities(report),
        ]
    )


def _head(report: Report) -> Iterator[str]:
    yield from (f"# Mesh conformance: {escape(str(report.mesh))}", "", f"**{escape(headline(report))}**", "")
    apart = "".join(f" · {item}" for item in beside(report))
    yield from (f"Score: **{score(report).sentence}**{apart}", "")
    facts = [*where(report), f"level {report.level}", report.started, f"{report.seconds:.1f} s"]
    yield from (" · ".join(escape(fact) for fact in [*facts, f"pytest-meshcheck {report.meshcheck}"]), "")
    yield from (f"_{escape(limits(report))}_", "")
    if stood := pulse(report):
        yield from (f"Machine stalls: {escape(stood)}", "")


def _contradictions(report: Report) -> Iterator[str]:
    found = contradictions(report)
    if found:
        yield from (f"## {CONTRADICTED}", "")
    for item in found:
        source = f" ({link('claim', item.capability.source)})" if item.capability.source else ""
        yield f"- **{escape(item.capability.name)}**{source}: {', '.join(code(result.id) for result in item.results)}"
    if found:
        yield ""


def _attention(report: Report) -> Iterator[str]:
    for verdict, look, found in attention(report.results):
        yield from (f"## {look.heading}", "", *((look.advice, "") if look.advice else ()))
        if verdict is Verdict.VIOLATES:
            for card in cards(found):
                yield from _card(report, card)
        else:
            yield from _reasons(found)


def _card(report: Report, card: Card) -> Iterator[str]:
    required = requirement(report, card.first)
    sources = ", ".join(link(source.title, source.url) for source in required.sources if not source.quote)
    yield from (f"### {escape(card.title)} · {card.first.level}", "")
    yield from (f"{escape(required.text)}{f' ({sources})' if sources else ''}", "")
    for source in required.sources:
        if source.quote:
            yield from (f"> {escape(source.quote)} — {link(source.title, source.url)}", "")
    for finding in card.findings:
        yield f"- {', '.join(code(result.id) for result in finding.results)}"
        yield f"  - **Expected** {code(finding.first.expected)}"
        yield f"  - **Actual** {code(finding.first.actual)}"
        if finding.first.evidence:
            yield f"  - **Evidence** {code(finding.first.evidence)}"
        if finding.first.reproduce:
            yield f"  - **Reproduce** {code(finding.first.reproduce)}"
    yield ""


def _access(report: Report) -> Iterator[str]:
    if (matrix := access_matrix(report.results)) is None:
        return
    yield from (f"## {TITLE}", "")
    if len(matrix.callers) > COLUMNS:
        yield from table(("Service", "", "Callers"), _by_outcome(matrix))
        return
    rows = ([code(row.destination), *map(_cell, row.cells)] for row in matrix.rows)
    yield from table(("Service", *map(code, matrix.callers)), rows)


def _by_outcome(matrix: AccessMatrix) -> Iterator[list[str]]:
    """A row for each port and what its callers saw: a column for each of many callers would not be legible."""
    for row in matrix.rows:
        callers: dict[str, list[str]] = {}
        for caller, cell in zip(matrix.callers, row.cells, strict=True):
            if cell.words:
                callers.setdefault(_cell(cell), []).append(code(caller))
        yield from ([code(row.destination), words, ", ".join(several)] for words, several in callers.items())


def _cell(cell: Cell) -> str:
    return f"{escape(cell.words)}{' **plaintext**' if cell.plaintext else ''}"


def _effects(report: Report) -> Iterator[str]:
    if not (found := effects_table(report.results)):
        return
    yield from (f"## {EFFECTS}", "")
    columns = ("Service", "Callers", "Request timeout", "Attempts on failure", "Idle connection", "Caller identity")
    rows = (
        [code(one.destination), escape(one.callers), _limit(one), *map(escape, (one.attempts, one.idle, one.identity))]
        for one in found
    )
    yield from table(columns, rows)


def _limit(row: EffectsRow) -> str:
    return f"**{escape(row.limit)}**" if row.unlimited else escape(row.limit)


def _reasons(found: Sequence[Result]) -> Iterator[str]:
    for group in grouped(found):
        more = f" ({link('why', group.first.link)})" if group.first.link else ""
        several = f"**{plural(len(group.results), 'check')}** " if len(group.results) > 1 else ""
        yield f"- {several}{code(group.checks)} {escape(group.first.reason)}{more}"
    yield ""


def _doctor(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield from ("## The cluster before the run", "", f"`meshcheck doctor`: {tally(findings)}", "")
        rows = ([one.severity, escape(one.object), escape(one.why), escape(one.advice), _rule(one)] for one in findings)
        yield from table(("", "Object", "Finding", "What to do", "Rule"), rows)


def _rule(finding: Finding) -> str:
    return link(finding.rule, finding.source) if finding.source else escape(finding.rule)


def changes(report: Report, comparison: Comparison) -> str:
    """What of the behaviour changed since the baseline, for a pull request."""
    head = [f"# What changed: {escape(str(report.mesh))}", ""]
    since = f"Baseline: run of {moment(comparison.started)}"
    return "\n".join([*head, *_changes(report, comparison), f"_{escape(since)}_", ""])


def _baseline(report: Report, comparison: Comparison) -> Iterator[str]:
    yield from ("## Baseline", "")
    yield from _changes(report, comparison)


def _changes(report: Report, comparison: Comparison) -> Iterator[str]:
    yield from (f"**{escape(summary(comparison))}**", "")
    for one in comparison.tables or ():
        if one.changes:
            yield from (f"### {escape(one.name)}", "")
            yield from table((one.row, one.column, "Before", "Now"), map(_merged, merged(one.changes)))
    if not (changed := noteworthy(comparison)):
        return
    yield from ("### Checks", "")
    rows = ([item.change, code(item.id), str(item.before or ""), str(item.now)] for item in changed)
    yield from table(("", "Check", "Before", "Now"), rows)
    worse = {item.id for item in changed if item.change is not Change.BETTER}
    found = [one for one in report.results if one.id in worse and one.expected]
    yield from (f"- {code(one.id)}: expected {escape(one.expected)}, but {escape(one.actual)}" for one in found)
    if found:
        yield ""


def _merged(change: MergedChange) -> list[str]:
    return [
        listed([*map(code, change.rows)]),
        listed([*map(code, change.columns)]),
        escape(change.before),
        escape(change.now),
    ]


def _families(report: Report) -> Iterator[str]:
    for name, results in families(report.results).items():
        wanting = missing(report, results)
        yield from (f"## {escape(name)}: {score(report, results).sentence}", "")
        if wanting:
            yield from (f"Not claimed: {', '.join(escape(item) for item in wanting)}", "")
        rows = ([_verdict(result), code(result.id), result.level, f"{result.seconds:.2f} s"] for result in results)
        yield from table(("Verdict", "Check", "Level", "Time"), rows)


def _verdict(result: Result) -> str:
    return f"{LOOKS[result.verdict].symbol} {result.verdict}"


def _capabilities(report: Report) -> Iterator[str]:
    if shown := capabilities(report):
        yield from ("## Capabilities", "")
        rows = (
            [code(row.name), "yes" if row.claimed else "no", escape(observed(report, row)), escape(row.note)]
            for row in shown
        )
        yield from table(("Capability", "Claimed", "Observed", "Note"), rows)
