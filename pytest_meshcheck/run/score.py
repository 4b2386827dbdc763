"""The score of a run: collects results from every process, writes the reports and the terminal summary."""

import datetime
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.aliases import Aliases, aliases
from pytest_meshcheck.checks.kill_table import kill_table
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.doctor.finding import Finding, tally
from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.report.baseline import compare, of_change, old_ids
from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.report.formats.terminal import lines
from pytest_meshcheck.report.model import (
    JUDGED,
    Change,
    MeshVersion,
    Report,
    ReportUnreadable,
    observe,
)
from pytest_meshcheck.report.reservation import DirectoryTaken, Reservation
from pytest_meshcheck.report.unjudged import unjudged
from pytest_meshcheck.report.views import summarised
from pytest_meshcheck.run.earlier import continues, earlier_report
from pytest_meshcheck.run.items import CHECK_ITEM, WorkerSummary
from pytest_meshcheck.run.mesh_results import MeshResults
from pytest_meshcheck.run.upgrade import Upgrade

RESULT = "meshcheck_result"
"""The attribute of a test report with mesh, result, start-up steps, form of data planes and pulse, for xdist."""

WORKER_SUMMARY = "meshcheck_told"
"""The key of the summary in the output of an xdist worker."""

NO_CHECKS = "meshcheck: there is no check here; run the suite of the plugin with --pyargs pytest_meshcheck.conformance"
NOT_WRITTEN = "(not written)"
SAYS_NOTHING_BAD = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
FAILING = (Verdict.VIOLATES, Verdict.INCONCLUSIVE, Verdict.FIXED)


def report_directory(settings: Settings, adapter: Mesh) -> Path:
    """The report directory of one mesh."""
    return settings.mesh_report.absolute() / f"{adapter.name}-{adapter.version}"


@dataclass(eq=False)
class RunResults:
    """The hooks of the process that the user started; under xdist that is the controller."""

    settings: Settings
    adapters: Mapping[MeshName, Mesh]
    baseline: Report | None = None
    upgrade: Upgrade | None = None
    platforms: dict[MeshName, str] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    by_mesh: dict[str, MeshResults] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    complete: bool = True
    written: dict[str, Path] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: tuple[Finding, ...] = ()
    reports: dict[str, Report] = field(default_factory=dict)
    reservation: Reservation | None = None
    others_passed: bool = False
    _continues: bool = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """With xdist, reserve the directories now: the cluster is created before checks are collected."""
        self._continues = continues(session.config)
        on_cluster = any(adapter.runs_on is PlatformKind.KUBERNETES for adapter in self.adapters.values())
        if on_cluster and session.config.getoption("dist", "no") != "no":
            self._reserve(session.config)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Reserve the report directories once it is known that there are checks to run."""
        if any(CHECK_ITEM in item.stash for item in session.items):
            self._reserve(session.config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """The same with xdist, where only ids are known."""
        if any(f"[{mesh}{end}" in one for one in ids for mesh in self.adapters for end in "-]"):
            self._reserve(node.config)

    def _reserve(self, config: pytest.Config) -> None:
        if self.reservation is not None or config.option.collectonly:
            return
        try:
            self.reservation = Reservation(report_directory(self.settings, one) for one in self.adapters.values())
        except (DirectoryTaken, ReportNotWritten) as error:
            raise pytest.UsageError(f"--mesh-report: {error}") from error

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the result of one check."""
        if not hasattr(report, RESULT):
            self.others_passed |= report.when == "call" and report.passed
            return
        mesh, result, steps, data_planes, pulse = getattr(report, RESULT)
        score = self.by_mesh.setdefault(mesh, MeshResults())
        score.add(msgspec.json.decode(result, type=Result))
        score.steps |= steps
        score.data_planes = data_planes or score.data_planes
        score.pulse |= {kind: max(seconds, score.pulse.get(kind, 0.0)) for kind, seconds in pulse.items()}

    def take(self, summary: WorkerSummary) -> None:
        """Add the collected checks; those without a verdict by now were not run."""
        self.troubles = list(dict.fromkeys([*self.troubles, *summary.troubles]))
        self.notes = list(dict.fromkeys([*self.notes, *summary.notes]))
        for one in summary.collected:
            score = self.by_mesh.setdefault(one.mesh, MeshResults())
            score.add(one.result)
            score.requirements[one.result.requirement] = one.requirement
            score.roots.add(Path(one.root))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Add the summary of an xdist worker."""
        self.complete = self.complete and error is None
        summary = getattr(node, "workeroutput", {}).get(WORKER_SUMMARY, "{}")
        self.take(msgspec.json.decode(summary, type=WorkerSummary))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> Any:
        """Write the reports, even if the end of the session fails; a run without verdicts exits with 5."""
        try:
            return (yield)
        finally:
            self._conclude(session, exitstatus)

    def _conclude(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        if self.reservation is None:
            return  # refused, or no check was to run: the directory may be another run's
        if self._continues:
            self._go_on()
        judged = [r for score in self.by_mesh.values() for r in score.results.values() if r.verdict in JUDGED]
        ran = [r for score in self.by_mesh.values() for r in score.results.values() if r.verdict is not Verdict.NOT_RUN]
        if ran and not judged and not self.others_passed and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        if any(r.verdict in FAILING for r in ran) and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED  # a plugin that repeats tests may have hidden it
        self.complete = self.complete and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if ran:
            self._write()
        if len(self.written) < len(self.reports) and session.exitstatus in SAYS_NOTHING_BAD:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if self._got_worse() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _go_on(self) -> None:
        """Add what an earlier run found to the results on each mesh."""
        for name, adapter in self.adapters.items():
            try:
                earlier = earlier_report(report_directory(self.settings, adapter))
            except ReportUnreadable as error:
                self.troubles.append(f"--lf continues no earlier report: {error}")
            else:
                if earlier and (score := self.by_mesh.get(str(name))):
                    score.go_on_from(earlier)

    def _write(self) -> None:
        from pytest_meshcheck.report.writer import (  # noqa: PLC0415 - renders at the end only
            add_to_summary,
            without_secrets,
            write,
        )

        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        for name, adapter in self.adapters.items():
            if not (score := self.by_mesh.get(str(name))):
                continue
            report = self.reports[str(name)] = without_secrets(self._report(name, adapter, score))
            try:
                self.written[str(name)] = write(report, report_directory(self.settings, adapter))
                if summary:
                    add_to_summary(report, Path(summary))
            except ReportNotWritten as error:
                self.troubles.append(str(error))

    def pytest_unconfigure(self) -> None:
        """Release the report directories."""
        if self.reservation is not None:
            self.reservation.release()

    def _report(self, name: MeshName, adapter: Mesh, score: MeshResults) -> Report:
        results = tuple(sorted(score.results.values(), key=lambda result: result.id))
        report = Report(
            meshcheck=version("pytest-meshcheck"),
            mesh=MeshVersion(adapter.name, adapter.version),
            platform=self._platform(name, adapter),
            data_planes=score.data_planes or msgspec.UNSET,
            stand_ins=self.settings.mesh_stand_in or msgspec.UNSET,
            started=datetime.datetime.fromtimestamp(self.started, datetime.UTC).isoformat(timespec="seconds"),
            seconds=round(time.time() - self.started, 3),
            level=Level(self.settings.mesh_level.upper()),
            slow=self.settings.mesh_slow or msgspec.UNSET,
            timeout_scale=self.settings.mesh_timeout_scale,
            complete=self.complete,
            capabilities=observe({str(capability): claim for capability, claim in adapter.claims.items()}, results),
            steps={step: round(seconds, 3) for step, seconds in (self._shared_steps(adapter) | score.steps).items()},
            pulse={kind: round(seconds, 3) for kind, seconds in score.pulse.items()} or msgspec.UNSET,
            doctor=self._findings(adapter),
            results=results,
            requirements=score.all_requirements,
            defects=kill_table(score.roots),
        )
        if score.earlier and not score.earlier.complete:
            left = any(one.verdict is Verdict.NOT_RUN for one in unjudged(report))
            report = msgspec.structs.replace(report, complete=self.complete and not left)
        report = summarised(report)
        if (baseline := self._baseline_of(name)) is None:
            return report
        declared = _aliases(score.roots)
        self.notes += [f"--mesh-baseline: {alias}" for alias in old_ids(baseline, declared)]
        return msgspec.structs.replace(report, baseline=compare(baseline, report, declared))

    def _findings(self, adapter: Mesh) -> tuple[Finding, ...] | msgspec.UnsetType:
        """What the doctor found in the cluster of this mesh, if it looked."""
        on_cluster = adapter.runs_on is PlatformKind.KUBERNETES
        return self.findings if self.findings and on_cluster else msgspec.UNSET

    def _baseline_of(self, name: MeshName) -> Report | None:
        """The baseline of a report: after an upgrade, the report from before it."""
        if self.upgrade and name == self.upgrade.after:
            return self.reports.get(str(self.upgrade.before))
        return self.baseline

    def _got_worse(self) -> bool:
        """Whether a check ends worse after the upgrade than before it."""
        after = self.reports.get(str(self.upgrade.after)) if self.upgrade else None
        return bool(after and after.baseline and of_change(after.baseline, Change.WORSE))

    def pytest_report_header(self) -> list[str]:
        """One line per mesh, and one about the cluster if the doctor looked at it."""
        doctor = [f"meshcheck doctor: {tally(self.findings)}"] if self.findings else []
        return [*(self._header(name, adapter) for name, adapter in self.adapters.items()), *doctor]

    def _platform(self, name: MeshName, adapter: Mesh) -> str:
        return self.platforms.get(name, str(adapter.runs_on))

    def _shared_steps(self, adapter: Mesh) -> dict[str, float]:
        return {} if adapter.runs_on is PlatformKind.PROCESSES else self.steps

    def _header(self, name: MeshName, adapter: Mesh) -> str:
        claimed = sum(claim.supported for claim in adapter.claims.values())
        parts = (
            f"{adapter.name}@{adapter.version} on {self._platform(name, adapter)}",
            f"level={self.settings.mesh_level}",
            f"{claimed}/{len(Capability)} capabilities",
        )
        return f"meshcheck: {', '.join(parts)}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode) -> None:
        """Print the verdicts per family, each violation in full, and the path of the report."""
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not self.by_mesh:
            terminalreporter.write_line(NO_CHECKS, yellow=True)
        for name, report in self.reports.items():
            terminalreporter.section(f"mesh conformance: {report.mesh}")
            for text, markup in lines(report, self.written.get(name, Path(NOT_WRITTEN))):
                terminalreporter.write_line(text, **markup)
        for note in dict.fromkeys(self.notes):
            terminalreporter.write_line(f"meshcheck: {note}", yellow=True)
        for trouble in self.troubles:
            terminalreporter.write_line(f"meshcheck: {trouble}", red=True)


def _aliases(roots: Iterable[Path]) -> Aliases:
    return {old: alias for root in roots for old, alias in aliases(root).items()}
