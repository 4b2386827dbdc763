"""Conversion of pytest's outcomes to verdicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.verdict import Result, Verdict, Violation
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.report.history import history

OUTCOMES = (Violation, Inconclusive)
"""The exceptions that a check raises by design; others are shown with the whole traceback."""


def verdict_of(report: pytest.TestReport, error: BaseException | None) -> Verdict:
    """The verdict for an outcome of pytest; every error except a Violation is inconclusive, and never expected."""
    if report.outcome == "passed":
        return Verdict.CONFORMS
    if hasattr(report, "wasxfail"):
        return _expected(error)
    if report.outcome == "skipped":
        return Verdict.UNSUPPORTED if isinstance(error, Unsupported) else Verdict.NOT_RUN
    if error is None:
        return Verdict.FIXED
    return Verdict.VIOLATES if isinstance(error, Violation) else Verdict.INCONCLUSIVE


def _expected(error: BaseException | None) -> Verdict:
    """The verdict for an expected failure."""
    if isinstance(error, pytest.xfail.Exception):  # nothing was judged: run=False, or a call of pytest.xfail
        return Verdict.NOT_RUN
    return Verdict.KNOWN_VIOLATION if isinstance(error, Violation) else Verdict.INCONCLUSIVE


def encode(result: Result) -> str:
    """A result as JSON."""
    return msgspec.json.encode(result).decode()


def fill_result(result: Result, error: BaseException | None, report: pytest.TestReport, mesh: Any) -> Result:
    """The result with the particulars of its verdict."""
    if isinstance(error, Violation):
        result = msgspec.structs.replace(result, expected=error.expected, actual=error.actual)
    elif isinstance(report.longrepr, tuple):
        result = msgspec.structs.replace(result, reason=report.longrepr[2].removeprefix("Skipped: "))
    elif error is not None:
        result = msgspec.structs.replace(
            result, reason=str(error) if isinstance(error, Inconclusive) else f"{type(error).__name__}: {error}"
        )
    if mesh is None:
        return result
    request_id = error.request_id if isinstance(error, Violation) else None
    return msgspec.structs.replace(
        result,
        measured=dict(mesh.measured),
        history=history(mesh.journal.entries, request_id),
        access=mesh.access or msgspec.UNSET,
        effective=mesh.effective or msgspec.UNSET,
    )


def suite_frames_only(check: Check) -> Callable[[pytest.ExceptionInfo[BaseException]], Any]:
    """Keeps the traceback lines of the suite's author, without the frames of the plugin below them."""

    def lines(raised: pytest.ExceptionInfo[BaseException]) -> Any:
        return raised.traceback.filter(lambda entry: Path(entry.path).resolve().is_relative_to(check.root))

    return lines
