"""Checks: how a test function becomes a citable check."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_meshcheck.checks.aliases import aliases
from pytest_meshcheck.checks.check_ids import only
from pytest_meshcheck.checks.leaks import asserts_refusal, fail_control, leaks_first
from pytest_meshcheck.checks.plain_names import by_plain_names
from pytest_meshcheck.checks.requirements import CatalogueError, stated_id, suite_root
from pytest_meshcheck.checks.verdict import Level, Violation
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload import Workload

CheckFunction = TypeVar("CheckFunction", bound=Callable[..., Awaitable[None]])


@dataclass(frozen=True)
class Check:
    """One test function that tests one requirement.

    Attributes:
        id: ``family/name``, from the folder and the function's name.
        level: The severity of a violation.
        requirement: The id of the requirement that it tests.
        description: Its docstring, as published.
        proves: The capabilities that it tests: it confirms them if it conforms, and contradicts them otherwise.
        uses: Further capabilities that it needs; its verdict does not concern them.
        root: The folder of the suite that it belongs to.
        head_start: Started as soon as the mesh is up, so that a long wait overlaps with other checks; the check runs
            late and awaits it as the fixture ``head_start``. It names those of the check's parameters that it depends
            on. Checks with the same function and parameters share its result; that of disruptive checks starts with
            the first of them.
        disruptive: Whether it restarts or rotates something that other checks rely on; it then runs late.
        restarts_node: Whether it restarts a node, from which not every data plane recovers; it then runs last of all.
    """

    id: str
    level: Level
    requirement: str
    description: str
    proves: frozenset[Capability]
    uses: frozenset[Capability]
    root: Path
    head_start: Callable[..., Coroutine[Any, Any, Any]] | None = None
    disruptive: bool = False
    restarts_node: bool = False

    @property
    def family(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]

    @property
    def needs(self) -> frozenset[Capability]:
        """The capabilities without which the check is unsupported."""
        return self.proves | self.uses


def proves(*capabilities: Capability) -> pytest.MarkDecorator:
    """A mark for ``pytest.param``: with this parameter the check proves only these of its capabilities."""
    return pytest.mark.mesh_proves(frozenset(capabilities))


def needs(lacking: Callable[[Any], str]) -> pytest.MarkDecorator:
    """A mark for ``pytest.param``, or for a whole check: what it needs of the mesh's documentation.

    Args:
        lacking: From ``Documented`` to the reason why the check is unsupported; empty where it is not.
    """
    return pytest.mark.mesh_needs.with_args(lacking)


slow = pytest.mark.mesh_slow
"""A mark for ``pytest.param``, or for a whole check: the slow lane, which runs with ``--mesh-slow`` alone.

For what takes longer than a minute by its nature. Wherever the fault shows at a smaller scale too, other parameters of
the same check are its short form.
"""


def check(
    level: Level,
    requirement: str,
    *,
    proves: AbstractSet[Capability] = frozenset(),
    uses: AbstractSet[Capability] = frozenset(),
    head_start: Callable[..., Coroutine[Any, Any, Any]] | None = None,
    disruptive: bool = False,
    restarts_node: bool = False,
) -> Callable[[CheckFunction], CheckFunction]:
    """Make a test function a check.

    Args:
        level: MUST, SHOULD or MAY.
        requirement: The id of a requirement that the suite states.
        proves: Capabilities that the check tests. May be empty: not every requirement corresponds to a claim.
        uses: Capabilities that the check only needs. If the mesh does not claim these too, it is unsupported.
        head_start: A coroutine function of the mesh under test, and of parameters of the check; see ``Check``.
        disruptive: Whether it has to run after those that are not.
        restarts_node: Whether it is disruptive, and has to run last of all, because it restarts a node.

    Raises:
        CatalogueError: No docstring, no such requirement, not a coroutine function, its id is taken, or the files of
            the suite are malformed.
    """

    def register(function: CheckFunction) -> CheckFunction:
        path = Path(inspect.getfile(function))
        root = suite_root(path)
        aliases(root)  # raises where they are malformed
        where = f"{path}:{function.__code__.co_firstlineno}: {function.__name__}"
        described = Check(
            id=only(path, function.__name__),
            level=level,
            requirement=stated_id(root, where, requirement),
            description=_published(where, function),
            proves=frozenset(proves),
            uses=frozenset(uses),
            root=root,
            head_start=head_start,
            disruptive=disruptive or restarts_node,
            restarts_node=restarts_node,
        )
        marked = pytest.mark.asyncio(loop_scope="session")(by_plain_names(_fair(function, described.root)))
        return pytest.mark.mesh_check(described)(marked)  # type: ignore[no-any-return]

    return register


def _fair(function: CheckFunction, root: Path) -> CheckFunction:
    """Turn violations into Inconclusive if a process died or was paused, and a crash of a data plane into a violation.

    Ctrl-C ends the check.
    """

    @functools.wraps(function)
    async def judged(**fixtures: Any) -> None:
        __tracebackhide__ = True
        try:
            with leaks_first(asserts_refusal(function, root)):
                for workload in fixtures.values():
                    if isinstance(workload, Workload) and workload.unreached:
                        fail_control(Inconclusive(workload.unreached))
                await function(**fixtures)
        except Exception as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # otherwise an error during the clean-up of a cancelled check would hide the interruption
                raise asyncio.CancelledError from error
            if isinstance(error, Violation | Inconclusive) and "mesh" in fixtures:
                await _excuse(fixtures["mesh"], error)
            raise
        if "mesh" in fixtures:
            await _expect_no_crash(fixtures["mesh"])

    return judged  # type: ignore[return-value]


async def _excuse(mesh: Any, error: Violation | Inconclusive) -> None:
    """Raise Inconclusive if a process died or was paused; combine it with an earlier Inconclusive.

    Neither explains a leak; and a data plane that crashed is a violation, whatever it broke.
    """
    if isinstance(error, Violation) and error.leak:
        return
    await _expect_no_crash(mesh)
    try:
        await mesh.platform.ensure_alive()
    except Inconclusive as dead:
        if isinstance(error, Violation) or str(dead) in str(error):
            raise
        raise Inconclusive(f"{dead}\n{error}") from error
    if isinstance(error, Violation):
        await mesh.stalls.excuse(error)
    else:
        explained = await mesh.stalls.explain(error)
        raise explained.with_traceback(error.__traceback__) from error.__cause__


async def _expect_no_crash(mesh: Any) -> None:
    """A refusal by a data plane that crashed, for example, is none."""
    if crashes := await mesh.platform.crashes():
        raise Violation("data planes that survive what the check sends", "; ".join(crashes))


def _published(where: str, function: Callable[..., Awaitable[None]]) -> str:
    if not inspect.iscoroutinefunction(function):
        raise CatalogueError(f"{where}: a check is a coroutine function, write 'async def'")
    if not function.__doc__:
        raise CatalogueError(f"{where}: a check needs a docstring, it is the published text")
    return inspect.cleandoc(function.__doc__)
