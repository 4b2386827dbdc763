"""``meshcheck publish REPORT.json... --to DIR``: reports for others to read, and the page of all of them."""

import argparse
from pathlib import Path

from pytest_meshcheck.commands.errors import told
from pytest_meshcheck.report.publish import publish

SUMMARY = "Put reports into a directory for others to read: no path of this machine, and a page of all of them."


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
    return told(lambda: publish(options.reports, options.to))
