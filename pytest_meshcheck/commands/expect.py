"""``meshcheck expect REPORT.json``: what a run saw of a user's manifests, as the expectations of the next run."""

import argparse
import sys
from pathlib import Path

import msgspec

from pytest_meshcheck.commands.errors import BAD_INPUT, failed
from pytest_meshcheck.manifests.expectations.snapshot import snapshot
from pytest_meshcheck.report.model import ReportUnreadable, load

SUMMARY = "Print who reached what in a run with --mesh-manifests, as a meshcheck.toml to review."
DESCRIPTION = f"""{SUMMARY} It reads the access matrix of one report.json, and needs no cluster. What is printed is what
the mesh did, and not what it should do: read it before you rely on it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``meshcheck expect``."""
    parser.add_argument("report", type=Path, metavar="REPORT.json", help="report.json of a run with --mesh-manifests")


def run(options: argparse.Namespace) -> int:
    """Print the expectations; returns the exit code."""
    try:
        report = load(options.report)
    except ReportUnreadable as error:
        return failed(str(error), BAD_INPUT)
    entries = [one for result in report.results if result.access is not msgspec.UNSET for one in result.access]
    if not entries:
        return failed(
            f"{options.report}: no access in this report; write one with: pytest --mesh=NAME --mesh-manifests=PATH",
            BAD_INPUT,
        )
    sys.stdout.write(snapshot(entries, f"{report.mesh}, {report.started}"))
    return 0
