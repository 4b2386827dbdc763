"""Runs of the conformance suite in a pytest of their own, judged by their report.json."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_meshcheck.judge.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.falsify.table import DEFECTS, ROOT

SOUND_MESH = "envoy"
AT_A_TIME = len(os.sched_getaffinity(0)) + 1
"""Runs; one more than processors, as a run waits a good part of its time."""

PATIENCE = 600.0
"""Seconds after which a run is given up."""

Verdicts = Mapping[str, Verdict]
"""By the id of a check with its parameters."""


class NoReport(Exception):
    """A run did not get as far as a report; has its output."""


@dataclass(frozen=True)
class Run:
    """One run of the suite.

    Attributes:
        name: The defect, or the mesh.
        mesh: For ``--mesh``.
        arguments: More arguments for pytest.
    """

    name: str
    mesh: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    def verdicts(self, directory: Path) -> Verdicts:
        """Run it, and return the verdict of everything that was run; reports go to ``directory``.

        Raises:
            NoReport: It ended without a report.
            subprocess.TimeoutExpired: It did not end.
        """
        command = (
            *(sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", "-p", "tests.falsify.plant"),
            *(f"--mesh={self.mesh}", f"--mesh-report={directory}", "--mesh-artifacts=never", *self.arguments),
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        run = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=PATIENCE, check=False)
        reports = list(directory.glob("*/report.json"))
        if len(reports) != 1:
            raise NoReport(f"{' '.join(command)} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
        results = msgspec.json.decode(reports[0].read_bytes(), type=Report).results
        return {result.id: result.verdict for result in results if result.verdict is not Verdict.NOT_RUN}


def planted(name: str) -> Run:
    """The run of those checks that have to see a defect."""
    defect = DEFECTS[name]
    chosen = ("-k", " or ".join(defect.kills))
    if defect.mesh:
        return Run(name, name, chosen)
    return Run(name, SOUND_MESH, (*chosen, "--plant", name))


def survivors(name: str, verdicts: Verdicts) -> Mapping[str, str]:
    """The checks that did not see a defect though they have to, with what they saw in its place."""
    seen = {check: str(verdicts.get(check, "not collected")) for check in DEFECTS[name].kills}
    return {check: verdict for check, verdict in seen.items() if verdict != Verdict.VIOLATES}
