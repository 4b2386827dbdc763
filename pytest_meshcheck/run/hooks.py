"""The hooks of a run: selection, parametrisation and order of the checks."""

import functools
import inspect
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_meshcheck.checks.aliases import Alias, aliases, applied
from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.kill_table import kill_table
from pytest_meshcheck.checks.plain_names import ROLES
from pytest_meshcheck.checks.requirements import CatalogueError, requirements
from pytest_meshcheck.checks.verdict import Level, Violation
from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.options import MeshName, Settings, again
from pytest_meshcheck.refusals import REFUSED, refuse
from pytest_meshcheck.run.items import (
    CHECK_ITEM,
    CheckItem,
    Collected,
    WorkerSummary,
    mesh_of,
    parameters_of,
)
from pytest_meshcheck.run.judging import Judging
from pytest_meshcheck.run.known_violations import KnownViolations
from pytest_meshcheck.run.loops import keep_from_anyio, move_into_session_loop
from pytest_meshcheck.run.reproduce import command
from pytest_meshcheck.run.score import WORKER_SUMMARY, RunResults
from pytest_meshcheck.run.upgrade import Upgrade, judges
from pytest_meshcheck.testbed.head_starts import PlannedHeadStart

if TYPE_CHECKING:
    from pytest_meshcheck.run.cluster import Cluster

OF_ONE_MESH = {"mesh_session", "mesh_platform"}
"""The fixtures that are parametrised by mesh; all others of the plugin depend on them."""

LEVELS = {"must": {Level.MUST}, "should": {Level.MUST, Level.SHOULD}, "may": set(Level)}


@dataclass(eq=False)
class Run:
    """The hooks of a conformance run, in every process of it."""

    config: pytest.Config
    settings: Settings
    adapters: dict[MeshName, Mesh]
    results: RunResults | None
    upgrade: Upgrade | None = None
    check_items: list[CheckItem] = field(default_factory=list)
    head_starts: dict[MeshName, dict[str, PlannedHeadStart]] = field(default_factory=dict)
    roles: dict[MeshName, dict[str, None]] = field(default_factory=dict)
    cluster: "Cluster | None" = None
    judging: Judging = field(init=False)
    known: KnownViolations = field(init=False)
    _handlers: dict[signal.Signals, Any] = field(default_factory=dict)
    """Signal handlers to restore after the run."""

    def __post_init__(self) -> None:
        self.judging = Judging(self.settings, self.adapters)
        self.known = KnownViolations(self.settings.mesh_expectations)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test that uses the mesh once per mesh, one mesh after the other."""
        if not OF_ONE_MESH.isdisjoint(metafunc.fixturenames):
            metafunc.parametrize("mesh_name", list(self.adapters), ids=str, scope="session")

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: object) -> None:
        """Have the process that keeps the score refuse a suite that is malformed."""
        if isinstance(report, pytest.CollectReport) and call.excinfo and isinstance(call.excinfo.value, CatalogueError):
            setattr(report, REFUSED, str(call.excinfo.value))

    def pytest_pycollect_makeitem(self, obj: object) -> None:
        """Leave checks to pytest-asyncio; this hook runs between those of anyio and of pytest."""
        if inspect.iscoroutinefunction(obj):
            keep_from_anyio(obj)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Any:
        """Assign ids before ``-k`` and ``-m`` select, and order the selected checks."""
        try:
            self._plan_all(items)
        except pytest.UsageError as error:
            refuse(self.config, error)
            items.clear()
        result = yield
        meshes = list(self.adapters)
        items.sort(key=lambda item: _order(item, meshes))
        self._select(items)
        for item in items:
            if check_item := item.stash.get(CHECK_ITEM, None):
                self._prepare(item, check_item)
        return result

    def _plan_all(self, items: list[pytest.Item]) -> None:
        self._leave_out(items)
        self.known.roots = frozenset(of[0].root for item in items if (of := _check_of(item)))
        try:
            kill_table(self.known.roots)
        except CatalogueError as error:
            raise pytest.UsageError(str(error)) from error
        for item in items:
            self._plan(item)
        move_into_session_loop(items)
        if not self._collects_a_part():
            self.known.refuse_unknown_parameters(self.check_items)

    def _leave_out(self, items: list[pytest.Item]) -> None:
        """Deselect upgrade checks in runs without an upgrade."""
        idle = [item for item in items if (of := _check_of(item)) and not judges(self.upgrade, *of[:2])]
        if idle:
            items[:] = [item for item in items if item not in idle]
            self.config.hook.pytest_deselected(items=idle)

    def _prepare(self, item: pytest.Item, check_item: CheckItem) -> None:
        """Collect the head start of a selected check, and its workloads; neither begins for an unsupported check."""
        adapter = self.adapters[check_item.mesh]
        runs = all(adapter.claim(one).supported for one in check_item.check.needs)
        if start := check_item.check.head_start:
            params = item.callspec.params if isinstance(item, pytest.Function) else {}
            own = {name: params[name] for name in inspect.signature(start).parameters if name in params}
            planned = PlannedHeadStart(functools.partial(start, **own), check_item.check.disruptive or not runs)
            self.head_starts.setdefault(check_item.mesh, {})[check_item.id] = planned
        roles = (ROLES[name] for name in getattr(item, "fixturenames", ()) if runs and name in ROLES)
        self.roles.setdefault(check_item.mesh, {}).update(dict.fromkeys(roles))

    def before(self, mesh: MeshName) -> MeshName | None:
        """The name of the mesh before its upgrade to this one; None without an upgrade."""
        return self.upgrade.before if self.upgrade and mesh == self.upgrade.after else None

    def is_upgraded(self, mesh: MeshName) -> bool:
        """Whether checks of another version follow on the same stage."""
        return self.upgrade is not None and mesh == self.upgrade.before

    def lock_of(self, mesh: MeshName) -> Path | None:
        """The file of the lock on a mesh that several processes of this run share; None if they do not."""
        on_cluster = self.adapters[mesh].runs_on is PlatformKind.KUBERNETES
        return self.cluster.cluster_ref.lock_file if self.cluster and on_cluster else None

    def _collects_a_part(self) -> bool:
        return self.config.getoption("lf", False) or any("::" in argument for argument in self.config.args)

    def _plan(self, item: pytest.Item) -> None:
        if (of := _check_of(item)) is None:
            return
        check, mesh, parametrised = of
        parameters = parametrised.removeprefix(str(mesh)).removeprefix("-")
        identifier = f"{check.id}[{parameters}]" if parameters else check.id
        known = self.known.find(check, identifier, mesh)
        slow = item.get_closest_marker("mesh_slow") is not None
        narrower = item.get_closest_marker("mesh_proves")
        check_item = CheckItem(
            check,
            identifier,
            mesh,
            command(item, self._options(mesh, slow=slow)),
            known,
            narrower.args[0] if narrower else None,
            slow,
        )
        self.judging.expect(item, check_item)
        item.extra_keyword_matches |= {check.id, identifier, *applied(aliases(check.root), identifier)}
        self.check_items.append(check_item)
        if known:
            reason = f"{known.reason} ({known.link})"
            # of the checks that replace one that was known to violate, not each has to violate
            strict = known.alias is None
            item.add_marker(pytest.mark.xfail(raises=Violation, strict=strict, reason=reason))

    def _select(self, items: list[pytest.Item]) -> None:
        """Deselect the checks below the level, and those of a lane that was not asked for."""
        others = [item for item in items if (p := item.stash.get(CHECK_ITEM, None)) and not self._is_asked_for(p)]
        if others:
            items[:] = [item for item in items if item not in others]
            self.config.hook.pytest_deselected(items=others)

    def _is_asked_for(self, check_item: CheckItem) -> bool:
        return check_item.check.level in LEVELS[self.settings.mesh_level] and self.judging.has_lane(check_item)

    def pytest_sessionstart(self) -> None:
        """Handle SIGTERM like Ctrl-C, and Ctrl-C even if inherited as ignored, as in the background of a script."""
        self._handlers[signal.SIGTERM] = signal.signal(signal.SIGTERM, _as_interrupt)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Restore the handlers of signals, after the clean-up, which a signal must not cut short."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Pass the collected checks to the run's results, before any clean-up that may fail."""
        collected = [
            Collected(
                str(p.mesh), self.judging.result(p), requirements(p.check.root)[p.check.requirement], str(p.check.root)
            )
            for p in self.check_items
        ]
        summary = WorkerSummary(collected, self.judging.troubles, [*self.known.notes, *self._old_ids_selected()])
        if self.results:
            self.results.take(summary)
        else:
            self.config.workeroutput[WORKER_SUMMARY] = msgspec.json.encode(summary).decode()  # type: ignore[attr-defined]

    def _old_ids_selected(self) -> list[str]:
        """A note for each id of an earlier version by which ``-k`` selects."""
        selection = self.config.getoption("keyword", "").lower()
        declared: set[Alias] = {
            alias for root in {one.check.root for one in self.check_items} for alias in aliases(root).values()
        }
        return [f"-k {selection}: {alias}" for alias in sorted(declared, key=str) if alias.is_named_in(selection)]

    def _options(self, mesh: MeshName, *, slow: bool) -> tuple[str, ...]:
        """The options that repeat a check on a mesh."""
        named = self.upgrade.options if self.upgrade and self.before(mesh) else (f"--mesh={mesh}",)
        on_cluster = self.adapters[mesh].runs_on is PlatformKind.KUBERNETES
        lane = ("--mesh-slow",) if slow else ()
        return *named, *lane, *again(self.config, self.settings, on_cluster=on_cluster)


def _check_of(item: pytest.Item) -> tuple[Check, MeshName, str] | None:
    """The check of an item with its mesh and parameters; None for other tests."""
    marker = item.get_closest_marker("mesh_check")
    if marker is None or not isinstance(item, pytest.Function):
        return None
    if "mesh_name" not in item.fixturenames:
        raise pytest.UsageError(f"{item.nodeid}: a check must use the fixture `mesh`")
    mesh: MeshName = item.callspec.params["mesh_name"]  # type: ignore[assignment]
    return marker.args[0], mesh, parameters_of(item)


def _order(item: pytest.Item, meshes: list[MeshName]) -> tuple[int, bool, bool, bool, bool]:
    check_item = item.stash.get(CHECK_ITEM, None)
    if check_item is None:
        mesh = mesh_of(item)
        return (meshes.index(mesh) if mesh else -1, False, False, False, False)
    check = check_item.check
    disturbs = check.disruptive, check.restarts_node
    return (meshes.index(check_item.mesh), *disturbs, check_item.slow, check.head_start is not None)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
