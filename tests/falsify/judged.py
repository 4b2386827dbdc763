"""Runs of the conformance suite in a pytest of their own, judged by their report.json."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.falsify import clauses
from tests.falsify.table import DEFECTS, ROOT, SUITE, checks, node, of_upgrade
from tests.forked import FORKED

SOUND_MESH = "envoy"
UPGRADABLE = "upgradable"

ENDS = ("-p", "tests.falsify.ends")
"""All parameters of each check are run on the sound mesh by ``pytest`` alone."""

FIRST_END = (*ENDS, "--first-end")

GOING_ON = ("-p", "tests.falsify.going_on")
"""Checks go on after a failed clause, and the run names all that were tripped."""

PROCESSORS = len(os.sched_getaffinity(0))

BATCHES = 12
"""Runs that the defects are spread over: each starts pytest once, and collects only the checks concerned."""

PATIENCE = 1200.0
"""Seconds after which a run is given up."""

Verdicts = Mapping[str, Verdict]
"""By the id of a check with its parameters."""


class NoReport(Exception):
    """A run did not get as far as a report on each of its meshes; names those without one, and has its output."""


@dataclass(frozen=True)
class Outcome:
    """What a run has come to.

    Attributes:
        verdicts: By mesh, the verdict of everything that was run.
        tripped: By mesh and by check, the clauses that were tripped, if checks went on after the first.
    """

    verdicts: Mapping[str, Verdicts]
    tripped: clauses.Tripped


@dataclass(frozen=True)
class Run:
    """One run of the suite.

    Attributes:
        name: What it is called.
        meshes: For ``--mesh``, one after the other.
        arguments: More arguments for pytest.
        collected: The parts of the suite that are collected.
        thorough: Whether it is made with ``--every-defect`` only.
    """

    name: str
    meshes: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    collected: tuple[str, ...] = (SUITE.name,)
    thorough: bool = False

    def __str__(self) -> str:
        return self.name

    def outcome(self, directory: Path) -> Outcome:
        """Run it; reports go to ``directory``.

        Raises:
            NoReport: It ended without a report, or did not end.
        """
        args = arguments(self, directory)
        code, output = FORKED.run(args, ROOT, environment(), PATIENCE)
        otherwise = f"pytest {' '.join(args)} ended with {code}:\n{output}"
        if code is None:
            raise NoReport(otherwise)
        verdicts, file = read(self, directory, otherwise), directory / clauses.FILE
        return Outcome(verdicts, clauses.read(file) if file.exists() else {})


def arguments(run: Run, directory: Path) -> tuple[str, ...]:
    """Those of pytest for a run; reports go to ``directory``."""
    return (
        *(*run.collected, "-p", "no:cacheprovider", "-p", "tests.falsify.plant", "-p", "tests.falsify.data_alone"),
        *(f"--mesh={mesh}" for mesh in run.meshes),
        *(f"--mesh-report={directory}", "--mesh-artifacts=never", *run.arguments),
    )


def command(run: Run, directory: Path) -> tuple[str, ...]:
    """What a run is started by in a fresh process; reports go to ``directory``."""
    return (sys.executable, "-m", "pytest", *arguments(run, directory))


def environment() -> dict[str, str]:
    """The environment of a run."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def read(run: Run, directory: Path, otherwise: str) -> Mapping[str, Verdicts]:
    """By mesh, the verdict of everything that was run; NoReport, which says otherwise, where a mesh has no report."""
    verdicts: dict[str, dict[str, Verdict]] = {}
    for path in sorted(directory.glob("*/report.json")):
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        judged = {result.id: result.verdict for result in report.results if result.verdict is not Verdict.NOT_RUN}
        verdicts.setdefault(report.mesh.name, {}).update(judged)
    if missing := {mesh.partition("@")[0] for mesh in run.meshes} - verdicts.keys():
        raise NoReport(f"{missing}: {otherwise}")
    return verdicts


def upgraded(name: str, mesh: str, *arguments: str) -> Run:
    """The run of the checks of an upgrade, in which a mesh is upgraded."""
    return Run(
        name, (f"{mesh}@1",), ("--mesh-upgrade-to=2", "-k", " or ".join(filter(of_upgrade, checks())), *arguments)
    )


def batch(name: str) -> str:
    """The name of the run in which a defect is planted."""
    if all(map(of_upgrade, DEFECTS[name].checks)):
        return name
    return f"batch-{list(DEFECTS).index(name) * BATCHES // len(DEFECTS)}"


def planted(names: Iterable[str]) -> Mapping[str, Run]:
    """By defect, the run that has those checks meet it that have to see it; one for all defects of a batch."""
    batches: dict[str, list[str]] = {}
    for name in names:
        batches.setdefault(batch(name), []).append(name)
    runs = (
        upgraded(one, one, *GOING_ON) if one in DEFECTS else _one_by_one(one, together)
        for one, together in batches.items()
    )
    return {name: run for run, together in zip(runs, batches.values(), strict=True) for name in together}


def _one_by_one(batch: str, names: Sequence[str]) -> Run:
    """Each defect is the name of a mesh, and part of the names of the checks that are to meet it."""
    chosen = (f"{name} and ({' or '.join(DEFECTS[name].kills)})" for name in names)
    collected = tuple(dict.fromkeys(node(check) for name in names for check in DEFECTS[name].checks))
    return Run(batch, tuple(names), ("-k", " or ".join(f"({one})" for one in chosen), *GOING_ON), collected)


def survivors(name: str, verdicts: Verdicts) -> Mapping[str, str]:
    """The checks that did not see a defect though they have to, with what they saw in its place."""
    seen = {check: str(verdicts.get(check, "not collected")) for check in DEFECTS[name].kills}
    return {check: verdict for check, verdict in seen.items() if verdict != Verdict.VIOLATES}
