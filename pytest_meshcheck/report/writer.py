"""Writes the files of a report into the user's directory, and nothing else there."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pytest_meshcheck.model.secrets import redact
from pytest_meshcheck.report.evidence import remove_other_evidence
from pytest_meshcheck.report.files import ReportNotWritten, append, make_directory, remove, replace
from pytest_meshcheck.report.formats import badge, html, markdown
from pytest_meshcheck.report.model import Report, encode

__all__ = ["ReportNotWritten", "add_to_summary", "without_secrets", "write"]

FILES: Mapping[str, Callable[[Report], bytes]] = {
    "report.json": encode,
    "report.md": lambda report: markdown.render(report).encode(),
    "report.html": lambda report: html.render(report).encode(),
    "badge.json": lambda report: msgspec.json.encode(badge.badge(report)) + b"\n",
}
"""The files in writing order: the data first, so that it is safe."""

CHANGES = "changes.md"
"""The file with what changed since a baseline; without one there is none."""


def write(report: Report, directory: Path) -> Path:
    """Write report.json, report.md, report.html and badge.json, each in one step; returns the path of report.html.

    With a baseline also changes.md.

    Args:
        report: The report; secrets in its messages are removed.
        directory: The directory, created if missing. Evidence that the report does not mention is removed; other
            files are kept.

    Raises:
        ReportNotWritten: A file cannot be written; the files before it are complete, as are those of earlier runs.
    """
    clean = without_secrets(report)
    make_directory(directory)
    for name, render in FILES.items():
        replace(directory / name, render(clean))
    if clean.baseline:
        replace(directory / CHANGES, markdown.changes(clean, clean.baseline).encode())
    else:
        remove(directory / CHANGES)  # of an earlier run
    remove_other_evidence(directory, (result.evidence for result in report.results))
    return directory / "report.html"


def add_to_summary(report: Report, summary: Path) -> None:
    """Append report.md to a file, e.g. that of ``$GITHUB_STEP_SUMMARY``.

    Raises:
        ReportNotWritten: The file cannot be written.
    """
    append(summary, FILES["report.md"](without_secrets(report)) + b"\n")


def without_secrets(report: Report) -> Report:
    """The report without private keys, tokens and kubeconfigs, which messages may contain."""
    return msgspec.convert(redact(report), Report)
