"""Tests that are not checks and use the mesh: they must run in its event loop, the session's."""

import inspect
from collections.abc import Iterable
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.checks.plain_names import PLAIN

LIVES_IN = "session"
INSTEAD = f'@pytest.mark.asyncio(loop_scope="{LIVES_IN}")'
RESTS_ON = "mesh_session"
"""The fixture that every other one rests on that needs a loop."""

CLUSTER = "mesh_cluster"
"""The fixture that rests on it as well, and that every loop may use."""

FIXTURES = {"mesh", RESTS_ON, *PLAIN.values()}
ANYIO = "anyio_backend"


def move_into_session_loop(items: Iterable[pytest.Item]) -> None:
    """Have pytest-asyncio run them in the session's loop, unless they name another one."""
    for item in items:
        if uses_stage(item) and pytest_asyncio.is_async_test(item) and _named_scope(item) is None:
            item.add_marker(pytest.mark.asyncio(loop_scope=LIVES_IN), append=False)


def keep_from_anyio(function: Any) -> None:
    """Have anyio, which in its automatic mode takes every coroutine, leave what is marked for pytest-asyncio."""
    marks = list(getattr(function, "pytestmark", ()))
    if not {mark.name for mark in marks} & {"asyncio"} or FIXTURES.isdisjoint(inspect.signature(function).parameters):
        return
    function.pytestmark = [mark for mark in marks if (mark.name, mark.args) != ("usefixtures", (ANYIO,))]


def refuse_other_loops(item: pytest.Item) -> None:
    """Fail a test that would wait for ever, before anything is started for it; says what to write."""
    if uses_stage(item) and (why := _why_not(item)):
        pytest.fail(f"{item.name} uses the mesh, which lives in the event loop of the {LIVES_IN}; {why}", pytrace=False)


def uses_stage(item: pytest.Item) -> bool:
    """Whether a test uses the mesh under test and workloads of the suite, and not its cluster alone."""
    asked = set(getattr(item, "fixturenames", ()))
    return RESTS_ON in asked and (CLUSTER not in asked or not asked.isdisjoint(FIXTURES - {RESTS_ON}))


def _why_not(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
        return None
    if item.get_closest_marker("anyio") or ANYIO in item.fixturenames:
        return f"anyio runs it in one of its own: write {INSTEAD} instead of @pytest.mark.anyio"
    if not pytest_asyncio.is_async_test(item):
        return f"nothing runs it as a coroutine: write {INSTEAD}"
    if (scope := _named_scope(item)) not in {None, LIVES_IN}:
        return f"this runs in that of its {scope}: write {INSTEAD}"
    return None


def _named_scope(item: pytest.Item) -> str | None:
    """The loop scope that a test itself asks for, also by the keyword that was its name before."""
    marker = item.get_closest_marker("asyncio")
    return (marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")) if marker else None
