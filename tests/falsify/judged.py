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
from tests.falsify.table import DEFECTS, ROOT, of_upgrade

SOUND_MESH = "envoy"
UPGRADABLE = "upgradable"
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
        argv = command(self, directory)
        run = subprocess.run(
            argv, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return read(directory, f"{' '.join(argv)} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")


def command(run: Run, directory: Path) -> tuple[str, ...]:
    """What a run is started by; reports go to ``directory``."""
    return (
        *(sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", "-p", "tests.falsify.plant"),
        *(f"--mesh={run.mesh}", f"--mesh-report={directory}", "--mesh-artifacts=never", *run.arguments),
    )


def environment() -> dict[str, str]:
    """The environment of a run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def read(directory: Path, otherwise: str) -> Verdicts:
    """The verdict of everything that was run; NoReport, which says otherwise, where nothing was reported."""
    reports = sorted(directory.glob("*/report.json"))
    if not reports:
        raise NoReport(otherwise)
    decoded = (msgspec.json.decode(report.read_bytes(), type=Report).results for report in reports)
    results = (result for of_one in decoded for result in of_one)
    return {result.id: result.verdict for result in results if result.verdict is not Verdict.NOT_RUN}


def upgraded(name: str, mesh: str, *arguments: str) -> Run:
    """The run of the checks of an upgrade, in which a mesh is upgraded."""
    return Run(name, f"{mesh}@1", ("--mesh-upgrade-to=2", "-k", "upgrade/", *arguments))


def planted(name: str) -> Run:
    """The run of those checks that have to see a defect."""
    defect = DEFECTS[name]
    if all(map(of_upgrade, defect.kills)):
        return upgraded(name, name)
    chosen = ("-k", " or ".join(defect.kills))
    if defect.mesh:
        return Run(name, name, chosen)
    return Run(name, SOUND_MESH, (*chosen, "--plant", name))


def survivors(name: str, verdicts: Verdicts) -> Mapping[str, str]:
    """The checks that did not see a defect though they have to, with what they saw in its place."""
    seen = {check: str(verdicts.get(check, "not collected")) for check in DEFECTS[name].kills}
    return {check: verdict for check, verdict in seen.items() if verdict != Verdict.VIOLATES}
