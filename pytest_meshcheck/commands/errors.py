"""Exit codes and error messages of the commands."""

import sys
from collections.abc import Callable
from pathlib import Path

from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.report.model import ReportUnreadable

FAILED = 1
"""The command could not do its work."""

BAD_INPUT = 4
"""An argument or a file cannot be used: as ``pytest`` for a wrong option."""


def exit_code_of(make: Callable[[], Path]) -> int:
    """Write a page, and print its path or the error; returns the exit code."""
    try:
        page = make()
    except ReportUnreadable as error:
        return failed(str(error), BAD_INPUT)
    except ReportNotWritten as error:
        return failed(f"cannot write {error.path}: {error.reason}", FAILED)
    sys.stdout.write(f"{page}\n")
    return 0


def failed(message: str, code: int) -> int:
    """Print an error in one line; returns the exit code."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return code
