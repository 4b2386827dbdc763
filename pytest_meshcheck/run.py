"""A pytest run with a mesh selected: which checks there are, in which order, and what their outcomes mean."""

import contextlib
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_meshcheck.judge.catalogue import Check
from pytest_meshcheck.judge.staging import STAGE
from pytest_meshcheck.judge.verdict import Level, Result, Verdict, Violation
from pytest_meshcheck.known import KnownViolations
from pytest_meshcheck.meshes.base import Home, Mesh, data_planes_of, home_of, is_ours
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.outcomes import OUTCOMES, encode, of_suite, replace_result, verdict_of
from pytest_meshcheck.planned import PLANNED, VIOLATED, Collected, Planned, Told
from pytest_meshcheck.report import evidence
from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.scorekeeper import RESULT, TOLD, ScoreKeeper, report_directory
from pytest_meshcheck.stage.faults import Unsupported
from pytest_meshcheck.stage.journal import Journal
from pytest_meshcheck.upgrade import Upgrade, judges

if TYPE_CHECKING:
    from pytest_meshcheck.cluster import Cluster

LEVELS = {"must": {Level.MUST}, "should": {Level.MUST, Level.SHOULD}, "may": set(Level)}


@dataclass(eq=False)
class Run:
    """The hooks of a conformance run, in every process of it."""

    config: pytest.Config
    settings: Settings
    adapters: dict[MeshName, Mesh]
    scores: ScoreKeeper | None
    upgrade: Upgrade | None = None
    planned: list[Planned] = field(default_factory=list)
    head_starts: dict[MeshName, dict[str, Check]] = field(default_factory=dict)
    roles: dict[MeshName, dict[str, None]] = field(default_factory=dict)
    cluster: "Cluster | None" = None
    troubles: list[str] = field(default_factory=list)
    known: KnownViolations = field(init=False)
    _sigterm: Any = None

    def __post_init__(self) -> None:
        self.known = KnownViolations(self.settings.mesh_expectations)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run what asks for the mesh once per mesh, one mesh after the other."""
        if "mesh_name" in metafunc.fixturenames:
            metafunc.parametrize("mesh_name", list(self.adapters), ids=str, scope="session")

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Any:
        """Name the checks before ``-k`` and ``-m`` select, and order what is left."""
        self._leave_out(items)
        for item in items:
            self._plan(item)
        if not self._collects_a_part():
            self.known.refuse_unknown_parameters(self.planned)
        result = yield
        meshes = list(self.adapters)
        items.sort(key=lambda item: _order(item, meshes))
        self._select_level(items)
        for item in items:
            if planned := item.stash.get(PLANNED, None):
                self._prepare(planned, getattr(item, "fixturenames", ()))
        return result

    def _leave_out(self, items: list[pytest.Item]) -> None:
        """Deselect checks of an upgrade where there is none."""
        idle = [item for item in items if (of := _check_of(item)) and not judges(self.upgrade, *of[:2])]
        if idle:
            items[:] = [item for item in items if item not in idle]
            self.config.hook.pytest_deselected(items=idle)

    def _prepare(self, planned: Planned, fixtures: Sequence[str]) -> None:
        """Remember what can be begun before the check itself."""
        if planned.check.head_start:
            self.head_starts.setdefault(planned.mesh, {})[planned.check.id] = planned.check
        self.roles.setdefault(planned.mesh, {}).update({role: None for role in fixtures if role in STAGE})

    def may_disrupt(self, mesh: MeshName) -> bool:
        """Whether what reaches beyond the stage is allowed."""
        return is_ours(self.adapters[mesh]) or self.settings.mesh_allow_disruption

    def before(self, mesh: MeshName) -> MeshName | None:
        """What a mesh is judged as before it is upgraded to this one; None: it is installed as what it is."""
        return self.upgrade.before if self.upgrade and mesh == self.upgrade.after else None

    def is_upgraded(self, mesh: MeshName) -> bool:
        """Whether checks of another version follow on the same stage."""
        return self.upgrade is not None and mesh == self.upgrade.before

    def turns_of(self, mesh: MeshName) -> Path | None:
        """The lock by which the processes of this run take turns on a mesh that they share; None: they do not."""
        on_cluster = home_of(self.adapters[mesh]) is Home.KUBERNETES
        return self.cluster.attachment.turns_file if self.cluster and on_cluster else None

    def _collects_a_part(self) -> bool:
        return self.config.getoption("lf", False) or any("::" in argument for argument in self.config.args)

    def _plan(self, item: pytest.Item) -> None:
        if (of := _check_of(item)) is None:
            return
        check, mesh, parametrised = of
        parameters = parametrised.removeprefix(str(mesh)).removeprefix("-")
        identifier = f"{check.id}[{parameters}]" if parameters else check.id
        known = self.known.find(check, identifier, mesh)
        planned = Planned(check, identifier, mesh, known)
        item.stash[PLANNED] = planned
        item.extra_keyword_matches |= {check.id, identifier}
        self.planned.append(planned)
        if known:
            reason = f"{known.reason} ({known.link})"
            item.add_marker(pytest.mark.xfail(raises=Violation, strict=True, reason=reason))

    def _select_level(self, items: list[pytest.Item]) -> None:
        levels = LEVELS[self.settings.mesh_level]
        low = [item for item in items if (p := item.stash.get(PLANNED, None)) and p.check.level not in levels]
        if low:
            items[:] = [item for item in items if item not in low]
            self.config.hook.pytest_deselected(items=low)

    def pytest_sessionstart(self) -> None:
        """End in an orderly way on SIGTERM, as on Ctrl-C."""
        self._sigterm = signal.signal(signal.SIGTERM, _as_interrupt)

    def pytest_unconfigure(self) -> None:
        """Leave SIGTERM as it was."""
        if self._sigterm is not None:
            signal.signal(signal.SIGTERM, self._sigterm)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Hand what was collected to whoever keeps the score, before anything ends that may go wrong."""
        collected = [
            Collected(str(p.mesh), self._result(p, Verdict.NOT_RUN, 0.0), p.check.requirement, str(p.check.root))
            for p in self.planned
        ]
        told = Told(collected, self.troubles)
        if self.scores:
            self.scores.take(told)
        else:
            self.config.workeroutput[TOLD] = msgspec.json.encode(told).decode()  # type: ignore[attr-defined]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what the mesh does not claim."""
        planned = item.stash.get(PLANNED, None)
        if planned is None:
            return
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self.evidence_folder(planned))  # of an earlier run
        adapter = self.adapters[planned.mesh]
        if planned.check.disruptive and not self.may_disrupt(planned.mesh):
            raise Unsupported(f"disrupts {adapter.name}, which was there already: allow it by --mesh-allow-disruption")
        claims = adapter.claims
        for capability in sorted(planned.check.needs):
            claim = claims.get(capability)
            if claim is None or not claim.supported:
                why = f"{claim.note} ({claim.source})" if claim else "the adapter says nothing of it"
                raise Unsupported(f"needs {capability}: {why}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Give the outcome its meaning."""
        report: pytest.TestReport = yield
        planned = item.stash.get(PLANNED, None)
        if planned is None or call.when == "teardown" or (call.when == "setup" and report.passed):
            return report
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, Unsupported):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {error}")
        verdict = verdict_of(report, error)
        if verdict is Verdict.INCONCLUSIVE:
            # pytest calls an error what fails outside of the call; JUnit, summary and --lf go by this
            report.when = "setup"
        if isinstance(error, OUTCOMES) and call.excinfo and self.config.getoption("tbstyle") == "auto":
            report.longrepr = call.excinfo.getrepr(style="short", funcargs=False, tbfilter=of_suite(planned.check))
        item.stash[VIOLATED] = verdict in (Verdict.VIOLATES, Verdict.KNOWN_VIOLATION)
        self._attach(item, report, verdict, error)
        return report

    def _attach(
        self,
        item: pytest.Item,
        report: pytest.TestReport,
        verdict: Verdict,
        error: BaseException | None,
    ) -> None:
        planned = item.stash[PLANNED]
        mesh = getattr(item, "funcargs", {}).get("mesh")
        result = replace_result(self._result(planned, verdict, report.duration), error, report, mesh)
        if mesh is not None and self.keeps_evidence(item):
            result = self._with_evidence(result, planned, mesh.journal, report)
        properties = [("meshcheck_id", planned.id), ("meshcheck_verdict", str(verdict))]
        report.user_properties += properties
        item.user_properties += properties  # JUnit reads them off the report on the teardown, which is made from these
        found = (dict(mesh.steps), data_planes_of(mesh.adapter), dict(mesh.pulse)) if mesh else ({}, "", {})
        setattr(report, RESULT, (str(planned.mesh), encode(result), *found))

    def _with_evidence(self, result: Result, planned: Planned, journal: Journal, report: pytest.TestReport) -> Result:
        folder = self.evidence_folder(planned)
        try:
            evidence.write_evidence(folder, journal.entries)
        except ReportNotWritten as error:
            self.troubles.append(str(error))
            return result
        report.sections.append(("meshcheck evidence", str(folder)))
        relative = folder.relative_to(report_directory(self.settings, self.adapters[planned.mesh]))
        return msgspec.structs.replace(result, evidence=str(relative))

    def _result(self, planned: Planned, verdict: Verdict, seconds: float) -> Result:
        known = planned.known
        where = self.settings.where if home_of(self.adapters[planned.mesh]) is Home.KUBERNETES else ()
        return Result(
            id=planned.id,
            verdict=verdict,
            level=planned.check.level,
            requirement=planned.check.requirement.id,
            description=planned.check.description,
            seconds=round(seconds, 4),
            needs=tuple(sorted(planned.check.needs)),
            reason=known.reason if known else "",
            link=known.link if known else "",
            reproduce=" ".join(("pytest", *self._named(planned.mesh), *where, f"-k '{planned.id}'")),
        )

    def _named(self, mesh: MeshName) -> tuple[str, ...]:
        """The options by which a mesh is judged as it was."""
        return self.upgrade.options if self.upgrade and self.before(mesh) else (f"--mesh={mesh}",)

    def keeps_evidence(self, item: pytest.Item) -> bool:
        """Whether the evidence of this check is kept, now that it has a verdict."""
        wanted = self.settings.mesh_artifacts
        return wanted == "always" or (wanted == "on-violation" and item.stash.get(VIOLATED, False))

    def evidence_folder(self, planned: Planned) -> Path:
        """Where the evidence of a check goes."""
        return report_directory(self.settings, self.adapters[planned.mesh]) / evidence.folder(planned.id)


def _check_of(item: pytest.Item) -> tuple[Check, MeshName, str] | None:
    """The check that an item runs, on which mesh, and its id among those of its function; None for any other test."""
    marker = item.get_closest_marker("mesh_check")
    if marker is None or not isinstance(item, pytest.Function):
        return None
    mesh: MeshName = item.callspec.params["mesh_name"]  # type: ignore[assignment]
    return marker.args[0], mesh, item.callspec.id


def _order(item: pytest.Item, meshes: list[MeshName]) -> tuple[int, bool, bool]:
    planned = item.stash.get(PLANNED, None)
    if planned is None:
        return (-1, False, False)
    return (meshes.index(planned.mesh), planned.check.disruptive, planned.check.head_start is not None)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
