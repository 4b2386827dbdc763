"""``meshcheck publish REPORT.json... --to DIR``: reports for others to read, and the page of all of them."""

import argparse
import sys
from pathlib import Path

from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.report.model import ReportUnreadable
from pytest_meshcheck.report.publication import publish

SUMMARY = "Put reports into a directory for others to read: no path of this machine, and a page of all of them."
NOT_WRITTEN = 1
BAD_INPUT = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck publish``."""
    parser.add_argument(
        "reports", nargs="*", type=Path, metavar="REPORT.json", help="report.json of one run; none: only the page anew"
    )
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="DIR",
        help="where <mesh>-<version>.json and README.md go",
    )


def run(options: argparse.Namespace) -> int:
    """Publish, and say where the page is; returns the exit code."""
    try:
        page = publish(options.reports, options.to)
    except ReportUnreadable as error:
        return _failed(str(error), BAD_INPUT)
    except ReportNotWritten as error:
        return _failed(f"{error.path} could not be written: {error.reason}", NOT_WRITTEN)
    sys.stdout.write(f"{page}\n")
    return 0


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return code
