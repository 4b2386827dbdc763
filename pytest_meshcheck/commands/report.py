"""``meshcheck report REPORT.json... --output DIR``: many reports on one page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_meshcheck.commands.errors import told
from pytest_meshcheck.report import matrix
from pytest_meshcheck.report.model import load

SUMMARY = "Merge report.json files into one page: checks by mesh."


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m pytest_meshcheck.report``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pytest_meshcheck.report", description=SUMMARY)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Merge the reports that are named and say where the page is; returns the exit code."""
    return told(lambda: matrix.write(matrix.merge([load(path) for path in options.reports]), options.output))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which reports, and where to."""
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json", help="report.json of one run")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("meshcheck-matrix"),
        metavar="DIR",
        help="where matrix.html, matrix.md and matrix.json go (default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main())
