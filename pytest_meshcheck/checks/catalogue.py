"""Checks and requirements: how a test function becomes a citable check."""

import ast
import asyncio
import functools
import inspect
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_meshcheck.checks.plain_names import by_plain_names
from pytest_meshcheck.checks.refusals import asserts_refusal, fail_control, leaks_first
from pytest_meshcheck.checks.verdict import Level, Violation
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload import Workload

REQUIREMENTS = "requirements.toml"
"""The root of a suite is the folder that holds this file."""

SOURCES = "test_*.py"
"""The files of a suite that contain checks."""

CheckFunction = TypeVar("CheckFunction", bound=Callable[..., Awaitable[None]])


class CatalogueError(Exception):
    """A check or a requirement is malformed; the message names the place and the fix."""


@dataclass(frozen=True)
class Source:
    """A document that a requirement is based on."""

    title: str
    url: str


@dataclass(frozen=True)
class Requirement:
    """One sentence in the terms of RFC 2119, with its sources."""

    id: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Check:
    """One test function that tests one requirement.

    Attributes:
        id: ``family/name``, from the folder and the function's name.
        level: The severity of a violation.
        requirement: The requirement that it tests.
        description: Its docstring, as published.
        proves: The capabilities that it tests: it confirms them if it conforms, and contradicts them otherwise.
        uses: Further capabilities that it needs; its verdict does not concern them.
        root: The folder of the suite that it belongs to.
        head_start: Started as soon as the mesh is up, so that a long wait overlaps with other checks; the check runs
            late and awaits it as the fixture ``head_start``.
        disruptive: Whether it restarts or rotates something that other checks rely on; it then runs last.
    """

    id: str
    level: Level
    requirement: Requirement
    description: str
    proves: frozenset[Capability]
    uses: frozenset[Capability]
    root: Path
    head_start: Callable[[Any], Awaitable[Any]] | None = None
    disruptive: bool = False

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


def check(
    level: Level,
    requirement: str,
    *,
    proves: AbstractSet[Capability] = frozenset(),
    uses: AbstractSet[Capability] = frozenset(),
    head_start: Callable[[Any], Awaitable[Any]] | None = None,
    disruptive: bool = False,
) -> Callable[[CheckFunction], CheckFunction]:
    """Make a test function a check.

    Args:
        level: MUST, SHOULD or MAY.
        requirement: An id of the suite's requirements.toml.
        proves: Capabilities that the check tests. May be empty: not every requirement corresponds to a claim.
        uses: Capabilities that the check only needs. If the mesh does not claim these too, it is unsupported.
        head_start: A coroutine function of the mesh under test, started early; see ``Check``.
        disruptive: Whether it has to run after all others.

    Raises:
        CatalogueError: No docstring, no such requirement, not a coroutine function, or its id is taken.
    """

    def register(function: CheckFunction) -> CheckFunction:
        path = Path(inspect.getfile(function))
        where = f"{path}:{function.__code__.co_firstlineno}: {function.__name__}"
        described = Check(
            id=_only(path, function.__name__),
            level=level,
            requirement=_stated(path, where, requirement),
            description=_published(where, function),
            proves=frozenset(proves),
            uses=frozenset(uses),
            root=suite_root(path),
            head_start=head_start,
            disruptive=disruptive,
        )
        marked = pytest.mark.asyncio(loop_scope="session")(by_plain_names(_fair(function, described.root)))
        return pytest.mark.mesh_check(described)(marked)  # type: ignore[no-any-return]

    return register


def _fair(function: CheckFunction, root: Path) -> CheckFunction:
    """Turn violations into Inconclusive if a process died or stood still; let Ctrl-C end the check."""

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
                # an error during the clean-up of a cancelled check would otherwise hide the interruption
                raise asyncio.CancelledError from error
            if isinstance(error, Violation | Inconclusive) and "mesh" in fixtures:
                await _excuse(fixtures["mesh"], error)
            raise

    return judged  # type: ignore[return-value]


async def _excuse(mesh: Any, error: Violation | Inconclusive) -> None:
    """Raise Inconclusive if a process died or stood still; combine it with an earlier Inconclusive."""
    try:
        await mesh.vouch()
    except Inconclusive as dead:
        if isinstance(error, Violation) or str(dead) in str(error):
            raise
        raise Inconclusive(f"{dead}\n{error}") from error
    if isinstance(error, Violation):
        await mesh.standstills.excuse(error)
    else:
        explained = await mesh.standstills.explain(error)
        raise explained.with_traceback(error.__traceback__) from error.__cause__


def _published(where: str, function: Callable[..., Awaitable[None]]) -> str:
    if not inspect.iscoroutinefunction(function):
        raise CatalogueError(f"{where}: a check is a coroutine function, write 'async def'")
    if not function.__doc__:
        raise CatalogueError(f"{where}: a check needs a docstring, it is the published text")
    return inspect.cleandoc(function.__doc__)


def _stated(path: Path, where: str, requirement: str) -> Requirement:
    known = requirements(suite_root(path))
    if requirement not in known:
        raise CatalogueError(f"{where}: no requirement {requirement!r}; available: {', '.join(sorted(known))}")
    return known[requirement]


def _only(path: Path, function_name: str) -> str:
    _ids_in(path.resolve().parent)  # raises where two are called the same
    return check_id(path, function_name)


def check_id(path: Path, function_name: str) -> str:
    """``conformance/mtls/test_x.py``, ``test_plaintext_is_refused`` -> ``mtls/plaintext-is-refused``."""
    return f"{path.parent.name}/{function_name.removeprefix('test_').replace('_', '-')}"


def suite_root(path: Path) -> Path:
    """The nearest folder above a check that holds requirements.toml.

    Raises:
        CatalogueError: There is none.
    """
    for folder in path.resolve().parents:
        if (folder / REQUIREMENTS).is_file():
            return folder
    raise CatalogueError(f"{path}: no {REQUIREMENTS} in any folder above; a suite of checks states its requirements")


@functools.cache
def requirements(root: Path) -> Mapping[str, Requirement]:
    """The requirements of a suite, by id.

    Raises:
        CatalogueError: The file is not TOML, or an entry lacks its text or its sources.
    """
    path = root / REQUIREMENTS
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    return {name: _requirement(path, name, entry) for name, entry in _flattened(entries).items()}


def _flattened(entries: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in entries.items():
        if isinstance(value, dict) and "text" not in value:
            flat |= _flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _requirement(path: Path, name: str, entry: Any) -> Requirement:
    try:
        sources = tuple(Source(source["title"], source["url"]) for source in entry["sources"])
        return Requirement(name, entry["text"], sources)
    except (KeyError, TypeError) as error:
        raise CatalogueError(f"{path}: [{name}] needs 'text', and 'sources' with 'title' and 'url': {error}") from error


def known_ids(root: Path) -> frozenset[str]:
    """The ids of every check of a suite, read from its sources without importing them.

    Raises:
        CatalogueError: Two checks have one id, or a source cannot be read.
    """
    folders = {path.parent for path in root.rglob(SOURCES)}
    return frozenset(identifier for folder in folders for identifier in _ids_in(folder))


@functools.cache
def _ids_in(folder: Path) -> frozenset[str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob(SOURCES)):
        for name, line in _checks_in(path):
            identifier, where = check_id(path, name), f"{path}:{line}"
            if identifier in found:
                raise CatalogueError(
                    f"{where}: the id {identifier!r} is taken by {found[identifier]}; rename one of the two functions"
                )
            found[identifier] = where
    return frozenset(found)


def _checks_in(path: Path) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise CatalogueError(f"{path}: cannot be read: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and any(map(_is_check, node.decorator_list)):
            yield node.name, node.lineno


def _is_check(decorator: ast.expr) -> bool:
    if not isinstance(decorator, ast.Call):
        return False
    named = decorator.func
    return (isinstance(named, ast.Name) and named.id == "check") or (
        isinstance(named, ast.Attribute) and named.attr == "check"
    )
