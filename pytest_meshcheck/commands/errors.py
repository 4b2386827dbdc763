"""Exit codes and error messages of the commands that write a page of reports."""

import sys
from collections.abc import Callable
from pathlib import Path

from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.report.model import ReportUnreadable

NOT_WRITTEN = 1
BAD_INPUT = 2


def exit_code_of(make: Callable[[], Path]) -> int:
    """Write a page, and print its path or the error; returns the exit code."""
    try:
        page = make()
    except ReportUnreadable as error:
        return _failed(str(error), BAD_INPUT)
    except ReportNotWritten as error:
        return _failed(f"cannot write {error.path}: {error.reason}", NOT_WRITTEN)
    sys.stdout.write(f"{page}\n")
    return 0


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return code
