"""Event loops of tests that use the mesh but are not checks: they must run in the session's loop."""

import inspect
from collections.abc import Iterable
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.checks.plain_names import PLAIN

LIVES_IN = "session"
INSTEAD = f'@pytest.mark.asyncio(loop_scope="{LIVES_IN}")'
RESTS_ON = "mesh_session"
"""The fixture that all others with a loop depend on."""

CLUSTER = "mesh_cluster"
"""A fixture that depends on it as well, but works in every loop."""

FIXTURES = {"mesh", RESTS_ON, "mesh_trial", "stand_in", *PLAIN.values()}
ANYIO = "anyio_backend"


def move_into_session_loop(items: Iterable[pytest.Item]) -> None:
    """Make pytest-asyncio run them in the session's loop, unless they name another one."""
    for item in items:
        if uses_stage(item) and pytest_asyncio.is_async_test(item) and _named_scope(item) is None:
            item.add_marker(pytest.mark.asyncio(loop_scope=LIVES_IN), append=False)


def keep_from_anyio(function: Any) -> None:
    """Keep anyio, which takes every coroutine in its automatic mode, from tests marked for pytest-asyncio."""
    marks = list(getattr(function, "pytestmark", ()))
    if not {mark.name for mark in marks} & {"asyncio"} or FIXTURES.isdisjoint(inspect.signature(function).parameters):
        return
    function.pytestmark = [mark for mark in marks if (mark.name, mark.args) != ("usefixtures", (ANYIO,))]


def refuse_other_loops(item: pytest.Item) -> None:
    """Fail a test that would wait for ever, before its fixtures start; the message has the right mark."""
    if uses_stage(item) and (why := _why_not(item)):
        pytest.fail(f"{item.name} uses the mesh, which lives in the event loop of the {LIVES_IN}; {why}", pytrace=False)


def uses_stage(item: pytest.Item) -> bool:
    """Whether a test uses the mesh under test and workloads of the suite, not only the cluster."""
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
        return f"this runs in the loop of its {scope}: write {INSTEAD}"
    return None


def _named_scope(item: pytest.Item) -> str | None:
    """The loop scope in the mark of a test, by its present or its old keyword."""
    marker = item.get_closest_marker("asyncio")
    return (marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")) if marker else None
