"""From outcomes to verdicts: items -> attempts -> verdicts, with their evidence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Result, Verdict, Violation
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.report import evidence, unjudged
from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.run.attempts import PHASES, Attempt, Attempts
from pytest_meshcheck.run.earlier import continues
from pytest_meshcheck.run.items import ATTEMPTS, CHECK_ITEM, EVIDENCE_IS_KEPT, SUBJECT, CheckItem, repetition_of
from pytest_meshcheck.run.loops import refuse_other_loops
from pytest_meshcheck.run.outcomes import OUTCOMES, encode, fill_result, suite_frames_only, verdict_of
from pytest_meshcheck.run.score import RESULT, report_directory

KEPT_VERDICTS = (Verdict.VIOLATES, Verdict.KNOWN_VIOLATION, Verdict.INCONCLUSIVE)
"""The verdicts whose evidence is kept."""

SLOW_LANE = "slow lane: --mesh-slow"
"""Why a check of the slow lane is not run."""

SHOWN = ("passed", "failed", "skipped")
"""The outcomes that pytest counts; plugins that repeat tests use other words for attempts before the last."""


@dataclass(eq=False)
class Judging:
    """The hooks around each check, in every process of a run.

    Attributes:
        judged: The results so far.
        troubles: The errors while keeping evidence.
        in_setup: The check item whose setup began last.
    """

    settings: Settings
    adapters: dict[MeshName, Mesh]
    judged: dict[tuple[MeshName, str], Result] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    in_setup: pytest.Item | None = None
    _attempts: dict[str, Attempts] = field(default_factory=dict)
    _explained: dict[tuple[MeshName, str], str] = field(default_factory=dict)

    def expect(self, item: pytest.Item, check_item: CheckItem) -> None:
        """Register an item as the item of a check."""
        item.stash[CHECK_ITEM] = check_item
        folder = self._evidence_folder(check_item)
        if number := repetition_of(item):
            folder /= f"attempt-{number}"
        attempts = Attempts(folder, continued=continues(item.config))
        item.stash[ATTEMPTS] = self._attempts[item.nodeid] = attempts

    def result(self, check_item: CheckItem) -> Result:
        """The result of a check so far."""
        if judged := self.judged.get((check_item.mesh, check_item.id)):
            return judged
        not_run = result_of(check_item, Verdict.NOT_RUN)
        return not_run if self.has_lane(check_item) else msgspec.structs.replace(not_run, reason=SLOW_LANE)

    def has_lane(self, check_item: CheckItem) -> bool:
        """Whether the lane of a check is selected."""
        return self.settings.mesh_slow or not check_item.slow

    def may_disrupt(self, mesh: MeshName) -> bool:
        """Whether disruptive checks are allowed."""
        return self.adapters[mesh].installed_by_run or self.settings.mesh_allow_disruption

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip checks that need unclaimed capabilities."""
        check_item = item.stash.get(CHECK_ITEM, None)
        refuse_other_loops(item)
        if check_item is None:
            return
        try:
            item.stash[ATTEMPTS].begin()
        except OSError as error:  # the evidence of an earlier run belongs to somebody else
            self.troubles.append(f"{error.filename} cannot be removed: {error.strerror}")
        self.in_setup = item
        adapter = self.adapters[check_item.mesh]
        if check_item.check.disruptive and not self.may_disrupt(check_item.mesh):
            raise Unsupported(
                f"disrupts {adapter.name}, which was already installed: allow it with --mesh-allow-disruption"
            )
        for capability in sorted(check_item.check.needs):
            if not (claim := adapter.claim(capability)).supported:
                raise Unsupported(f"needs {capability}: {claim.why}")
        self._refuse_unpromised(item, check_item)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Any:
        """Remember the exception of a check: a plugin that repeats it may hide it from pytest."""
        try:
            if check_item := pyfuncitem.stash.get(CHECK_ITEM, None):
                self._refuse_unpromised(pyfuncitem, check_item)  # the installed mesh may promise less than expected
            return (yield)
        except Exception as error:
            if attempts := pyfuncitem.stash.get(ATTEMPTS, None):
                attempts.raised[attempts.begun] = pytest.ExceptionInfo.from_exception(error)
            if isinstance(error, Violation) and attempts:
                pyfuncitem.stash[EVIDENCE_IS_KEPT] = True
                self._keep_evidence(pyfuncitem)
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Turn the outcome into a verdict."""
        with _represented_by_message(item, call):
            report: pytest.TestReport = yield
        check_item = item.stash.get(CHECK_ITEM, None)
        if check_item is None or call.when == "teardown" or (call.when == "setup" and report.passed):
            return report
        attempts = item.stash[ATTEMPTS]
        excinfo = attempts.raised.get(attempts.begun) if attempts.unreported else call.excinfo
        for number in attempts.unreported:
            attempts.ended[number] = self._unreported(item, report, attempts.raised[number])
        attempts.ended[attempts.begun] = self._attempt(item, report, excinfo)
        self._attach(item, report, attempts)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Any:
        """Make pytest count an item once, by its worst attempt."""
        if attempts := self._attempts.get(report.nodeid):
            attempts.correct(report, final=hasattr(report, RESULT) and report.outcome in SHOWN)
        return (yield)

    def _refuse_unpromised(self, item: pytest.Item, check_item: CheckItem) -> None:
        subject = item.stash.get(SUBJECT, None)  # after an upgrade it has the adapter of the version before
        documented = subject.documented if subject else self.adapters[check_item.mesh].documented
        for marker in item.iter_markers("mesh_needs"):
            if why := marker.args[0](documented):
                raise Unsupported(why)

    def _unreported(
        self, item: pytest.Item, final: pytest.TestReport, raised: pytest.ExceptionInfo[BaseException]
    ) -> Attempt:
        """An attempt that another plugin made without a report."""
        report = pytest.TestReport(
            item.nodeid, item.location, item.keywords, "failed", None, "call", [], final.duration
        )
        report.longrepr = raised.getrepr(style="short")
        return self._attempt(item, report, raised)

    def _attempt(
        self, item: pytest.Item, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None
    ) -> Attempt:
        check_item, error = item.stash[CHECK_ITEM], excinfo.value if excinfo else None
        if isinstance(error, Unsupported):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {error}")
        verdict = verdict_of(report, error)
        if excinfo and verdict is Verdict.INCONCLUSIVE and hasattr(report, "wasxfail"):
            del report.wasxfail
            report.outcome, report.longrepr = "failed", excinfo.getrepr(style="short")
        report.when = PHASES.get(verdict, report.when)
        if excinfo and _is_represented_here(item, error):
            report.longrepr = excinfo.getrepr(
                style="short", funcargs=False, tbfilter=suite_frames_only(check_item.check)
            )
        if verdict in KEPT_VERDICTS:
            item.stash[EVIDENCE_IS_KEPT] = True
        mesh = item.stash.get(SUBJECT, None)
        result = fill_result(result_of(check_item, verdict, report.duration), error, report, mesh)
        if verdict is Verdict.INCONCLUSIVE and item.config.getoption("tbstyle") == "auto":
            self._show_cause(report, check_item, result.reason)
        return Attempt.of(report, result)

    def _show_cause(self, report: pytest.TestReport, check_item: CheckItem, reason: str) -> None:
        """Make pytest show a reason in full for its first check, and refer to that from the others."""
        cause = unjudged.cause(reason)
        first = self._explained.setdefault((check_item.mesh, unjudged.alike(reason)), check_item.id)
        if first != check_item.id:
            report.longrepr = f"{cause} (as {first})"
        elif crash := getattr(report.longrepr, "reprcrash", None):
            crash.message = cause  # of the short summary

    def _attach(self, item: pytest.Item, report: pytest.TestReport, attempts: Attempts) -> None:
        """Attach the result of the item to the report, for the run's results and for JUnit."""
        check_item, mesh = item.stash[CHECK_ITEM], item.stash.get(SUBJECT, None)
        if self.keeps_evidence(item):
            self._keep_evidence(item)
        result = attempts.result
        if attempts.kept:
            report.sections.append(("meshcheck evidence", str(attempts.folder)))
            home = report_directory(self.settings, self.adapters[check_item.mesh])
            relative = self._evidence_folder(check_item).relative_to(home)
            result = msgspec.structs.replace(result, evidence=str(relative))
        self.judged[check_item.mesh, check_item.id] = result
        properties = {"meshcheck_id": check_item.id, "meshcheck_verdict": str(result.verdict)}
        others = [one for one in item.user_properties if one[0] not in properties]
        # JUnit reads them from the report of the teardown, which copies those of the item
        report.user_properties[:] = item.user_properties[:] = [*others, *properties.items()]
        found = (dict(mesh.steps), mesh.adapter.data_planes, dict(mesh.stalls.longest)) if mesh else ({}, "", {})
        setattr(report, RESULT, (str(check_item.mesh), encode(result), *found))

    def _keep_evidence(self, item: pytest.Item) -> None:
        """Write the evidence of the present attempt, once."""
        attempts, mesh = item.stash[ATTEMPTS], item.stash.get(SUBJECT, None)
        if mesh is None or attempts.begun in attempts.kept or self.settings.mesh_artifacts == "never":
            return
        try:
            evidence.write_evidence(attempts.evidence, mesh.journal.entries)
            attempts.kept.add(attempts.begun)
        except ReportNotWritten as error:
            home = report_directory(self.settings, self.adapters[item.stash[CHECK_ITEM].mesh])
            self.troubles.append(str(ReportNotWritten(home, error.reason)))  # one line for all checks

    def keeps_evidence(self, item: pytest.Item) -> bool:
        """Whether the evidence of this check is kept."""
        wanted = self.settings.mesh_artifacts
        return wanted == "always" or (wanted == "on-violation" and item.stash.get(EVIDENCE_IS_KEPT, False))

    def evidence_of(self, item: pytest.Item) -> Path:
        """The evidence folder of an item's present attempt."""
        return item.stash[ATTEMPTS].evidence

    def _evidence_folder(self, check_item: CheckItem) -> Path:
        """The evidence folder of a check."""
        return report_directory(self.settings, self.adapters[check_item.mesh]) / evidence.folder(check_item.id)


def result_of(check_item: CheckItem, verdict: Verdict, seconds: float = 0.0) -> Result:
    """The result of a check, without its observations."""
    known = None if verdict in (Verdict.CONFORMS, Verdict.NOT_RUN) else check_item.known
    return Result(
        id=check_item.id,
        verdict=verdict,
        level=check_item.check.level,
        requirement=check_item.check.requirement,
        description=check_item.check.description,
        seconds=round(seconds, 4),
        needs=tuple(sorted(check_item.check.needs)),
        proves=tuple(sorted(check_item.proves)),
        reason=known.reason if known else "",
        link=known.link if known else "",
        reproduce=check_item.reproduce,
        slow=check_item.slow or msgspec.UNSET,
    )


def _is_represented_here(item: pytest.Item, error: BaseException | None) -> bool:
    """Whether an outcome is shown in our style: with the frames of the suite alone."""
    return isinstance(error, OUTCOMES) and bool(item.config.getoption("tbstyle") == "auto")


@contextmanager
def _represented_by_message(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Spare pytest its own representation of an outcome, which parses the source of every frame.

    That takes 0.3 s, in which nothing else happens, and the result is replaced.
    """
    if CHECK_ITEM not in item.stash or not (call.excinfo and _is_represented_here(item, call.excinfo.value)):
        yield
        return
    vars(item)["repr_failure"] = lambda excinfo, style=None: str(excinfo.value)
    try:
        yield
    finally:
        del vars(item)["repr_failure"]
