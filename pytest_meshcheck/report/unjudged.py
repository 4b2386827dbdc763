"""Checks without a verdict on the mesh, grouped by cause; reports mention them first."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report.model import Report, Unjudged

SHOWN = 2
"""The maximum number of causes in a line; reports list all."""

LONGEST = 80
"""The maximum length of a cause."""

RANK = {Level.MAY: 0, Level.SHOULD: 1, Level.MUST: 2}

NAMED = re.compile(
    r"Insufficient [\w./-]*\w|assert failure: [^\n]+|No space left on device|Too many open files|Cannot allocate memory"
)
"""Phrases that name the cause wherever they occur in a reason."""

VARIES = re.compile(
    r"""
    \b\d+(?:\.\d+){3}(?::\d+)?\b        # an address
    | (?<![\w/])[\w.-]+/[\w./-]*[\w-]   # namespace/name
    | \b\d{4}-\d\d-\d\d[T ][\d:.,]+Z?   # a time
    | \b\d+\.\d+\b | \b\d+[ ]ms\b      # a duration
    | \b[0-9a-f]{6,}\b                  # an id
    """,
    re.VERBOSE,
)
"""The parts in which reasons with the same cause differ."""


@dataclass(frozen=True)
class Group:
    """Results with a common reason."""

    cause: str
    results: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """The representative result."""
        return self.results[0]

    @property
    def checks(self) -> str:
        """The ids in one line, with the number of parameters, e.g. ``retry/fires (9), mtls/strict``."""
        ids: dict[str, list[str]] = {}
        for result in self.results:
            ids.setdefault(result.id.partition("[")[0], []).append(result.id)
        return ", ".join(f"{check} ({len(found)})" if len(found) > 1 else found[0] for check, found in ids.items())


def unjudged(report: Report) -> list[Result]:
    """The results without a verdict on the mesh although their checks were selected."""
    return [
        result
        for result in report.results
        if result.verdict is Verdict.INCONCLUSIVE
        or (result.verdict is Verdict.NOT_RUN and is_asked_for(report, result))
    ]


def is_asked_for(report: Report, result: Result) -> bool:
    """Whether level and lane of the run include a check."""
    return RANK[result.level] >= RANK[report.level] and (result.slow is not True or report.slow is True)


def grouped(results: Iterable[Result]) -> list[Group]:
    """The results grouped by reason, the largest group first; names, addresses and durations are ignored."""
    found: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        found.setdefault((result.verdict, result.link, alike(result.reason)), []).append(result)
    groups = (Group(cause(*(one.reason for one in members)), tuple(members)) for members in found.values())
    return sorted(groups, key=lambda group: -len(group.results))


def causes(report: Report) -> tuple[Unjudged, ...]:
    """The causes for missing verdicts, the commonest first."""
    return tuple(
        Unjudged(verdict=group.first.verdict, cause=group.cause, checks=tuple(result.id for result in group.results))
        for group in grouped(unjudged(report))
    )


def breakdown(report: Report) -> str:
    """The number of checks without a verdict, and why: ``45 inconclusive (44 x "Insufficient cpu", 1 x "...")``."""
    found = causes(report)
    words = {Verdict.INCONCLUSIVE: "inconclusive", Verdict.NOT_RUN: "not run"}
    parts = [_of_one_verdict(word, [one for one in found if one.verdict is verdict]) for verdict, word in words.items()]
    return ", ".join(part for part in parts if part)


def commonest(report: Report) -> str:
    """The commonest cause with its number, for narrow places; empty without a stated cause."""
    named = [one for one in causes(report) if one.cause]
    return f"{len(named[0].checks)} x {shortened(named[0].cause, LONGEST // 2)}" if named else ""


def shortened(text: str, length: int = LONGEST) -> str:
    """The text, truncated if necessary."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def _of_one_verdict(word: str, found: Sequence[Unjudged]) -> str:
    named = [one for one in found if one.cause]
    shown = [f'{len(one.checks)} x "{one.cause}"' for one in named[:SHOWN]]
    more = sum(len(one.checks) for one in named[SHOWN:])
    listed = ", ".join([*shown, *([f"{more} x other"] if more else [])])
    number = sum(len(one.checks) for one in found)
    return f"{number} {word}{f' ({listed})' if listed else ''}" if number else ""


def cause(*reasons: str) -> str:
    """The name of a reason: its first line, without the parts in which these variants of it differ."""
    if named := NAMED.search(reasons[0]):
        return shortened(named[0])
    lines = [_first_line(reason) for reason in reasons]
    return shortened(lines[0] if len(set(lines)) == 1 else _varied(lines[0]))


def alike(reason: str) -> str:
    """The text without the parts in which texts of the same meaning differ: names, addresses, durations."""
    named = NAMED.search(reason)
    return named[0] if named else _varied(reason)


def _varied(text: str) -> str:
    return VARIES.sub("…", text)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
