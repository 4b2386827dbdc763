"""Several reports on one page: checks by mesh, then the claims of the meshes."""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from pytest_meshcheck.checks.verdict import Level, Verdict
from pytest_meshcheck.report import views
from pytest_meshcheck.report.files import make_directory, replace
from pytest_meshcheck.report.formats import html, markdown
from pytest_meshcheck.report.formats.verdicts import CONTRADICTED, LOOKS
from pytest_meshcheck.report.model import CapabilityRow, Observed, Report
from pytest_meshcheck.report.unjudged import breakdown


class Stance(enum.StrEnum):
    """A claim compared with the observation, in one word."""

    KEPT = "kept"
    """Claimed and confirmed."""
    BROKEN = "broken"
    """Claimed and contradicted."""
    UNPROVEN = "unproven"
    """Claimed, but no check has a verdict."""
    UNCLAIMED = "unclaimed"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    mesh: str
    platform: str
    started: str
    level: Level
    complete: bool
    unjudged: str = ""
    """The number of checks without a verdict, and the causes."""
    score: str
    """E.g. ``33/34 conform``, or ``62 of 107 conclusive`` if the rest has no verdict."""
    beside: tuple[str, ...]
    """The counts outside the score, e.g. ``3 unsupported``."""


class CheckRow(msgspec.Struct, frozen=True, kw_only=True):
    """One check with its verdict in each run, None if the run does not have it."""

    id: str
    level: Level
    requirement: str
    verdicts: tuple[Verdict | None, ...]


class CapabilityCells(msgspec.Struct, frozen=True, kw_only=True):
    """One capability with claim and observation per mesh, None if the run does not know the capability."""

    name: str
    meshes: tuple[CapabilityRow | None, ...]


class Contradicted(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that a run contradicts."""

    mesh: str
    capability: str
    checks: tuple[str, ...]


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Reports side by side; the tuples in the rows are in the order of the columns."""

    schema: str = "1"
    columns: tuple[Column, ...]
    contradictions: tuple[Contradicted, ...]
    checks: tuple[CheckRow, ...]
    capabilities: tuple[CapabilityCells, ...]


def merge(reports: Sequence[Report]) -> Matrix:
    """Merge reports, in the given order."""
    return Matrix(
        columns=tuple(_column(report) for report in reports),
        contradictions=tuple(
            Contradicted(
                mesh=str(report.mesh), capability=found.capability.name, checks=tuple(r.id for r in found.results)
            )
            for report in reports
            for found in views.contradictions(report)
        ),
        checks=_checks(reports),
        capabilities=_capabilities(reports),
    )


def _column(report: Report) -> Column:
    return Column(
        mesh=str(report.mesh),
        platform=" · ".join(views.where(report)),
        started=report.started,
        level=report.level,
        complete=report.complete,
        unjudged=breakdown(report),
        score=views.score(report).sentence,
        beside=tuple(views.beside(report)),
    )


def _checks(reports: Sequence[Report]) -> tuple[CheckRow, ...]:
    by_id = [{result.id: result for result in report.results} for report in reports]
    first = {result.id: result for report in reversed(reports) for result in report.results}
    ids = sorted(first, key=lambda check_id: (views.family(check_id), check_id))
    return tuple(
        CheckRow(
            id=check_id,
            level=first[check_id].level,
            requirement=first[check_id].requirement,
            verdicts=tuple(results[check_id].verdict if check_id in results else None for results in by_id),
        )
        for check_id in ids
    )


def _capabilities(reports: Sequence[Report]) -> tuple[CapabilityCells, ...]:
    by_name = [{row.name: row for row in report.capabilities} for report in reports]
    names = dict.fromkeys(name for rows in by_name for name in rows)
    return tuple(CapabilityCells(name=name, meshes=tuple(rows.get(name) for rows in by_name)) for name in names)


def stance(row: CapabilityRow | None) -> Stance:
    """The stance of a mesh on a capability."""
    if row is None or not row.claimed:
        return Stance.UNCLAIMED
    kept = {Observed.CONFIRMED: Stance.KEPT, Observed.CONTRADICTED: Stance.BROKEN}
    return kept.get(row.observed, Stance.UNPROVEN)


def to_json(matrix: Matrix) -> bytes:
    """The matrix as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(matrix), indent=2) + b"\n"


def to_html(matrix: Matrix) -> bytes:
    """The matrix as one self-contained page."""
    families: dict[str, list[CheckRow]] = {}
    for row in matrix.checks:
        families.setdefault(views.family(row.id), []).append(row)
    return html.page("matrix.html.jinja", matrix=matrix, families=families, stance=stance).encode()


def to_markdown(matrix: Matrix) -> bytes:
    """The matrix as GitHub-flavoured Markdown."""
    return "\n".join(["# Mesh conformance, side by side", "", *markdown_lines(matrix)]).encode()


def markdown_lines(matrix: Matrix) -> list[str]:
    """The lines of the matrix as Markdown, without a title."""
    meshes = [markdown.escape(column.mesh) for column in matrix.columns]
    unjudged = ["Not conclusive", *(markdown.escape(column.unjudged) for column in matrix.columns)]
    scores = ["Score", *(markdown.escape(column.score) for column in matrix.columns)]
    beside = ["Not scored", *(markdown.escape(", ".join(column.beside)) for column in matrix.columns)]
    return [
        *markdown.table(("", *meshes), ([unjudged] if any(unjudged[1:]) else []) + [scores, beside]),
        *("## Checks", "", " · ".join(f"{look.symbol} {look.word}" for look in LOOKS.values()), ""),
        *markdown.table(("Check", *meshes), map(_check_cells, matrix.checks)),
        *_contradicted(matrix),
        *("## Capabilities", ""),
        *markdown.table(("Capability", *meshes), map(_stances, matrix.capabilities)),
    ]


def _contradicted(matrix: Matrix) -> Iterator[str]:
    if matrix.contradictions:
        yield from (f"## {CONTRADICTED}", "")
    for found in matrix.contradictions:
        checks = ", ".join(markdown.code(check_id) for check_id in found.checks)
        yield f"- **{markdown.escape(found.mesh)}: {markdown.escape(found.capability)}** {checks}"
    if matrix.contradictions:
        yield ""


def _check_cells(row: CheckRow) -> list[str]:
    cells = ("" if verdict is None else LOOKS[verdict].symbol for verdict in row.verdicts)
    return [markdown.code(row.id), *cells]


def _stances(row: CapabilityCells) -> list[str]:
    return [markdown.code(row.name), *(stance(cell) for cell in row.meshes)]


FILES: Mapping[str, Callable[[Matrix], bytes]] = {
    "matrix.json": to_json,
    "matrix.md": to_markdown,
    "matrix.html": to_html,
}


def write(matrix: Matrix, directory: Path) -> Path:
    """Write matrix.json, matrix.md and matrix.html, each in one step; returns the path of matrix.html.

    Raises:
        ReportNotWritten: A file cannot be written.
    """
    make_directory(directory)
    for name, render in FILES.items():
        replace(directory / name, render(matrix))
    return directory / "matrix.html"
