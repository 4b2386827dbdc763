"""What checks record in tables, such as who reaches what, compared with an earlier run."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.report import access_matrix, effects_table
from pytest_meshcheck.report.effects_table import attempts_in_words, idle_in_words, limit_in_words
from pytest_meshcheck.report.model import RecordedChange, TableComparison

UNKNOWN = "not known"
"""The value of an entry whose check was inconclusive or was not run."""

NEW, GONE = "(new)", "(gone)"
"""In place of the value of an entry that one of the two reports does not have."""

STEPS = 2
"""Steps per second in which limits are compared: a measured one is a little longer each time."""

OF_RUN = re.compile(r"(?<=-)[0-9a-f]{6}(?=/)")
"""What the name of a run adds to that of a namespace, where the manifests name none."""

UNJUDGED = (Verdict.INCONCLUSIVE, Verdict.NOT_RUN)

Entry = tuple[str, str, str]
"""The row, such as a port; what it says something about, such as a caller; the value in words."""


@dataclass(frozen=True)
class RecordedTable:
    """A table that the results of checks make up.

    Attributes:
        name: Its heading.
        row: The heading of its rows.
        column: The heading of what a row says something about.
        entries: The part of it that one result has.
    """

    name: str
    row: str
    column: str
    entries: Callable[[Result], Iterable[Entry]]


def _access(result: Result) -> Iterator[Entry]:
    if result.access is msgspec.UNSET or (matrix := access_matrix.access_matrix([result])) is None:
        return
    for row in matrix.rows:
        for caller, cell in zip(matrix.callers, row.cells, strict=True):
            yield row.destination, caller, f"{cell.words}{', in plaintext' if cell.plaintext else ''}"


def _effects(result: Result) -> Iterator[Entry]:
    """The effective values of each caller."""
    for one in result.effective or ():
        limits = {method: round(limit * STEPS) / STEPS for method, limit in one.limits.items()}
        steady = msgspec.structs.replace(one, limits=limits)
        said = f"timeout {limit_in_words(steady)}, attempts {attempts_in_words(one)}"
        said += f", idle {idle_in_words(one)}" if one.idle else ""
        for caller, identity in zip(one.callers, one.identities, strict=True):
            yield one.destination, caller, f"{said}, identity {OF_RUN.sub('…', identity) or 'none'}"


TABLES = (
    # heading, rows, columns, the part of one result
    RecordedTable(access_matrix.TITLE, "Service", "Caller", _access),
    RecordedTable(effects_table.TITLE, "Service", "Caller", _effects),
)


def compare_tables(before: Collection[Result], now: Collection[Result]) -> tuple[TableComparison, ...]:
    """The tables that either of two reports has, with what differs."""
    compared = (_compare(table, before, now) for table in TABLES)
    return tuple(one for one in compared if one.entries)


def _compare(table: RecordedTable, before: Collection[Result], now: Collection[Result]) -> TableComparison:
    was, has = _values(table, before, now), _values(table, now, before)
    keys = {**has, **was}
    changes = (
        RecordedChange(row=row, column=column, before=was.get((row, column), NEW), now=has.get((row, column), GONE))
        for row, column in keys
    )
    changed = tuple(one for one in changes if one.before != one.now)
    return TableComparison(name=table.name, row=table.row, column=table.column, entries=len(keys), changes=changed)


def _values(table: RecordedTable, results: Collection[Result], other: Collection[Result]) -> dict[tuple[str, str], str]:
    """The values of a report; what only the other one knows of a check that has no verdict here is not known."""
    unjudged = {result.id for result in results if result.verdict in UNJUDGED}
    lost = [entry for result in other if result.id in unjudged for entry in table.entries(result)]
    known = [entry for result in results for entry in table.entries(result)]
    return {(row, column): UNKNOWN for row, column, _ in lost} | {(row, column): value for row, column, value in known}


@dataclass(frozen=True)
class MergedChange:
    """Changes that are alike: from one value to another, in every row and column of these."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    before: str
    now: str


def merged(changes: Iterable[RecordedChange]) -> list[MergedChange]:
    """The changes, where rows that change alike are one."""
    columns: dict[tuple[str, str, str], list[str]] = {}
    for one in changes:
        columns.setdefault((one.row, one.before, one.now), []).append(one.column)
    rows: dict[tuple[tuple[str, ...], str, str], list[str]] = {}
    for (row, before, now), several in columns.items():
        rows.setdefault((tuple(several), before, now), []).append(row)
    return [MergedChange(tuple(where), several, before, now) for (several, before, now), where in rows.items()]
