"""``meshcheck report REPORT.json... --output DIR``: many reports on one page."""

import argparse
from pathlib import Path

from pytest_meshcheck.commands.errors import exit_code_of
from pytest_meshcheck.report import matrix
from pytest_meshcheck.report.model import load

SUMMARY = "Merge report.json files into one page, checks by mesh."


def run(options: argparse.Namespace) -> int:
    """Merge the reports, and print the path of the page; returns the exit code."""
    return exit_code_of(lambda: matrix.write(matrix.merge([load(path) for path in options.reports]), options.output))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck report``."""
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json", help="report.json of a run")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("meshcheck-matrix"),
        metavar="DIR",
        help="directory for matrix.html, matrix.md and matrix.json (default: %(default)s)",
    )
