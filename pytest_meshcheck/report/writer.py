"""Writes the artefacts of a report into a directory of the user's, and nothing else there."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pytest_meshcheck.model.secrets import redact
from pytest_meshcheck.report.evidence import remove_other_evidence
from pytest_meshcheck.report.files import ReportNotWritten, append, make_directory, replace
from pytest_meshcheck.report.formats import badge, html, markdown
from pytest_meshcheck.report.model import Report, encode

__all__ = ["ReportNotWritten", "add_to_summary", "without_secrets", "write"]

FILES: Mapping[str, Callable[[Report], bytes]] = {
    "report.json": encode,
    "report.md": lambda report: markdown.render(report).encode(),
    "report.html": lambda report: html.render(report).encode(),
    "badge.json": lambda report: msgspec.json.encode(badge.badge(report)) + b"\n",
}
"""In this order, so that what was judged is safe before anything is made from it."""


def write(report: Report, directory: Path) -> Path:
    """Write report.json, report.md, report.html and badge.json, each in one step; returns the path of report.html.

    Args:
        report: What to write; secrets that a message carried into it are taken out.
        directory: Created where it is missing. Evidence in it of checks that this report has none of is removed;
            other files are left alone.

    Raises:
        ReportNotWritten: A file cannot be written; those before it are whole, and so are those of an earlier run.
    """
    clean = without_secrets(report)
    make_directory(directory)
    for name, render in FILES.items():
        replace(directory / name, render(clean))
    remove_other_evidence(directory, (result.evidence for result in report.results))
    return directory / "report.html"


def add_to_summary(report: Report, summary: Path) -> None:
    """Add report.md to the end of a file, e.g. the one that ``$GITHUB_STEP_SUMMARY`` names.

    Raises:
        ReportNotWritten: The file cannot be written.
    """
    append(summary, FILES["report.md"](without_secrets(report)) + b"\n")


def without_secrets(report: Report) -> Report:
    """The report without private keys, tokens and kubeconfigs that a message may have carried into it."""
    return msgspec.convert(redact(report), Report)
