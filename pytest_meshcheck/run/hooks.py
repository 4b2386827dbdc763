"""A pytest run with a mesh selected: which checks there are, and in which order."""

import inspect
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_meshcheck.checks.aliases import Alias, aliases, applied
from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.plain_names import ROLES
from pytest_meshcheck.checks.requirements import CatalogueError
from pytest_meshcheck.checks.verdict import Level, Violation
from pytest_meshcheck.meshes.base import Home, Mesh
from pytest_meshcheck.options import MeshName, Settings, again
from pytest_meshcheck.run.items import PLANNED, Collected, Planned, Told, mesh_of
from pytest_meshcheck.run.judging import Judging
from pytest_meshcheck.run.known_violations import KnownViolations
from pytest_meshcheck.run.loops import keep_from_anyio, move_into_session_loop
from pytest_meshcheck.run.reproduce import command
from pytest_meshcheck.run.score import REFUSED, TOLD, ScoreKeeper
from pytest_meshcheck.run.upgrade import Upgrade, judges

if TYPE_CHECKING:
    from pytest_meshcheck.run.cluster import Cluster

OF_ONE_MESH = {"mesh_session", "mesh_platform"}
"""Fixtures of which there is one for each mesh; all others of that kind rest on them."""

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
    judging: Judging = field(init=False)
    known: KnownViolations = field(init=False)
    _sigterm: Any = None

    def __post_init__(self) -> None:
        self.judging = Judging(self.settings, self.adapters)
        self.known = KnownViolations(self.settings.mesh_expectations)

    @pytest.hookimpl(tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run what asks for the mesh once per mesh, one mesh after the other."""
        if not OF_ONE_MESH.isdisjoint(metafunc.fixturenames):
            metafunc.parametrize("mesh_name", list(self.adapters), ids=str, scope="session")

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: object) -> None:
        """Have the process that keeps the score refuse a suite that is malformed."""
        if isinstance(report, pytest.CollectReport) and call.excinfo and isinstance(call.excinfo.value, CatalogueError):
            setattr(report, REFUSED, str(call.excinfo.value))

    def pytest_pycollect_makeitem(self, obj: object) -> None:
        """Leave checks to pytest-asyncio; between anyio, which comes first, and pytest, which comes last."""
        if inspect.iscoroutinefunction(obj):
            keep_from_anyio(obj)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Any:
        """Name the checks before ``-k`` and ``-m`` select, and order what is left."""
        self._leave_out(items)
        for item in items:
            self._plan(item)
        move_into_session_loop(items)
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
        self.roles.setdefault(planned.mesh, {}).update({ROLES[name]: None for name in fixtures if name in ROLES})

    def before(self, mesh: MeshName) -> MeshName | None:
        """What a mesh is judged as before it is upgraded to this one; None: it is installed as what it is."""
        return self.upgrade.before if self.upgrade and mesh == self.upgrade.after else None

    def is_upgraded(self, mesh: MeshName) -> bool:
        """Whether checks of another version follow on the same stage."""
        return self.upgrade is not None and mesh == self.upgrade.before

    def turns_of(self, mesh: MeshName) -> Path | None:
        """The lock by which the processes of this run take turns on a mesh that they share; None: they do not."""
        on_cluster = self.adapters[mesh].runs_on is Home.KUBERNETES
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
        narrower = item.get_closest_marker("mesh_proves")
        planned = Planned(
            check,
            identifier,
            mesh,
            command(item, self._options(mesh)),
            known,
            narrower.args[0] if narrower else None,
        )
        self.judging.expect(item, planned)
        item.extra_keyword_matches |= {check.id, identifier, *applied(aliases(check.root), identifier)}
        self.planned.append(planned)
        if known:
            reason = f"{known.reason} ({known.link})"
            # of the checks that replace one that was known to violate, not each has to violate
            strict = known.alias is None
            item.add_marker(pytest.mark.xfail(raises=Violation, strict=strict, reason=reason))

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
            Collected(str(p.mesh), self.judging.result(p), p.check.requirement, str(p.check.root)) for p in self.planned
        ]
        told = Told(collected, self.judging.troubles, [*self.known.notes, *self._old_ids_selected()])
        if self.scores:
            self.scores.take(told)
        else:
            self.config.workeroutput[TOLD] = msgspec.json.encode(told).decode()  # type: ignore[attr-defined]

    def _old_ids_selected(self) -> list[str]:
        """A note for each id of an earlier version by which ``-k`` selects."""
        selection = self.config.getoption("keyword", "").lower()
        declared: set[Alias] = {
            alias for root in {one.check.root for one in self.planned} for alias in aliases(root).values()
        }
        return [f"-k {selection}: {alias}" for alias in sorted(declared, key=str) if alias.is_named_in(selection)]

    def _options(self, mesh: MeshName) -> tuple[str, ...]:
        """The options by which a mesh is judged as it was."""
        named = self.upgrade.options if self.upgrade and self.before(mesh) else (f"--mesh={mesh}",)
        on_cluster = self.adapters[mesh].runs_on is Home.KUBERNETES
        return *named, *again(self.config, self.settings, on_cluster=on_cluster)


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
        mesh = mesh_of(item)
        return (meshes.index(mesh) if mesh else -1, False, False)
    return (meshes.index(planned.mesh), planned.check.disruptive, planned.check.head_start is not None)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
