"""A directory of reports for others to read, and its page."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.report import matrix, views
from pytest_meshcheck.report.anonymise import without_machine
from pytest_meshcheck.report.files import make_directory, replace
from pytest_meshcheck.report.formats import markdown
from pytest_meshcheck.report.formats.verdicts import LOOKS
from pytest_meshcheck.report.model import Report, ReportUnreadable, encode, load

PAGE = "README.md"
MADE_BY = "Made by `meshcheck publish` from the reports beside this page."
EXPLAINED = (Verdict.VIOLATES, Verdict.KNOWN_VIOLATION, Verdict.INCONCLUSIVE)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")


def publish(reports: Iterable[Path], directory: Path) -> Path:
    """Put reports into a directory as ``<mesh>-<version>.json``, and make its page anew from all that are there.

    Args:
        reports: report.json files; one of the same mesh and version replaces the one that was published before.
        directory: Created where it is missing.

    Returns:
        The path of the page.

    Raises:
        ReportUnreadable: A file, one of those that were published before among them, is not a report.
        ReportNotWritten: A file cannot be written.
    """
    named = dict(_named(path) for path in reports)
    make_directory(directory)
    for name, report in named.items():
        replace(directory / name, encode(without_machine(report)))
    replace(directory / PAGE, page(published_in(directory)).encode())
    return directory / PAGE


def published_in(directory: Path) -> list[Report]:
    """The reports of a directory, by mesh and version; ReportUnreadable where a file is none."""
    return [load(path) for path in sorted(directory.glob("*.json"))]


def file_name(report: Report) -> str:
    """The name under which a report is published."""
    return f"{report.mesh.name}-{report.mesh.version}.json"


def _named(path: Path) -> tuple[str, Report]:
    report = load(path)
    if not _NAME.fullmatch(name := file_name(report)):
        raise ReportUnreadable(path, f"its mesh and version make no file name: {name!r}; valid are A-Z a-z 0-9 . + _ -")
    return name, report


def page(reports: Sequence[Report]) -> str:
    """How each report came about, the matrix, and why what does not conform does not; Markdown."""
    lines = ["# Results of real runs", "", MADE_BY, ""]
    if not reports:
        return "\n".join([*lines, "There is none yet.", ""])
    lines += [*map(_how_it_was_run, reports), ""]
    lines += matrix.markdown_lines(matrix.merge(reports))
    for report in reports:
        lines += _reasons(report)
    return "\n".join(lines)


def _how_it_was_run(report: Report) -> str:
    how = [*views.where(report), report.started[:10], f"level {report.level}", f"{report.seconds:.0f} s"]
    how += [f"pytest-meshcheck {report.meshcheck}", *([] if report.complete else ["interrupted"])]
    facts = " · ".join(markdown.escape(fact) for fact in how)
    return f"- [{markdown.escape(str(report.mesh))}]({file_name(report)}): {facts}"


def _reasons(report: Report) -> Iterator[str]:
    found = [result for verdict in EXPLAINED for result in views.of(verdict, report.results)]
    if found:
        yield from (f"## {markdown.escape(str(report.mesh))}: what was not seen to conform", "")
    for result in found:
        yield f"- {LOOKS[result.verdict].symbol} {markdown.code(result.id)} {result.verdict}: {_why(result)}"
    if found:
        yield ""


def _why(result: Result) -> str:
    seen = f"Expected {result.expected}, but {result.actual}." if result.expected else ""
    why = markdown.escape(" ".join(part for part in (seen, result.reason) if part))
    return f"{why} ({markdown.link('why', result.link)})" if result.link else why
