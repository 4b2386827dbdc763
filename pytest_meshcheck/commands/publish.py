"""``meshcheck publish REPORT.json... --to DIR``: reports without local paths, and an index page."""

import argparse
from pathlib import Path

from pytest_meshcheck.commands.errors import exit_code_of
from pytest_meshcheck.report.publish import publish

SUMMARY = "Publish reports with local paths removed, plus an index page."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck publish``."""
    parser.add_argument(
        "reports",
        nargs="*",
        type=Path,
        metavar="REPORT.json",
        help="report.json of a run; omit to rebuild the index page only",
    )
    parser.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory for <mesh>-<version>.json and README.md",
    )


def run(options: argparse.Namespace) -> int:
    """Publish, and print the path of the page; returns the exit code."""
    return exit_code_of(lambda: publish(options.reports, options.to))
