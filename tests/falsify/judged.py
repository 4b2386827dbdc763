"""Runs of the conformance suite in a pytest of their own, read from their report.json."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from pytest_meshcheck.judge.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.falsify.defect import SOUND_MESH, Defect
from tests.falsify.table import ROOT

PATIENCE = 300.0
"""Seconds after which a run is given up."""


class NoReport(Exception):
    """A run did not get as far as a report; has its output."""


def judge(mesh: str, directory: Path, *arguments: str) -> Mapping[str, Verdict]:
    """Run the suite on a mesh, and return the verdict of every check with its parameters that was run.

    Raises:
        NoReport: It ended without a report.
        subprocess.TimeoutExpired: It did not end.
    """
    command = (
        *(sys.executable, "-m", "pytest", "conformance", "-q", "-p", "no:cacheprovider", "-p", "tests.falsify.plant"),
        *(f"--mesh={mesh}", f"--mesh-report={directory}", "--mesh-artifacts=never", *arguments),
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    reports = list(directory.glob("*/report.json"))
    if len(reports) != 1:
        raise NoReport(f"{' '.join(command)} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
    results = msgspec.json.decode(reports[0].read_bytes(), type=Report).results
    return {result.id: result.verdict for result in results if result.verdict is not Verdict.NOT_RUN}


def judge_defect(name: str, defect: Defect, directory: Path) -> Mapping[str, Verdict]:
    """Run the checks that a defect has to kill."""
    planted = ("--plant", name) if defect.plant else ()
    return judge(name if defect.mesh else SOUND_MESH, directory, "-k", selection(defect.kills), *planted)


def selection(ids: Sequence[str]) -> str:
    """An expression for ``-k``."""
    return " or ".join(ids)
