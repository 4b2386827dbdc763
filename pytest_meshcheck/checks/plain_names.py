"""The short names of workloads in checks, such as ``client`` for the fixture ``mesh_client``.

Outside of checks, names as short as these belong to other plugins.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_meshcheck.model.stage import STAGE

PLAIN = {plain: f"mesh_{plain}" for plain in (*STAGE, "upgraded", "head_start", "trial", "mutation")}
"""The name of a fixture in checks, and its name elsewhere."""

ROLES = {PLAIN[role]: role for role in STAGE}
"""Fixture to workload of the stage."""


def by_plain_names(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A wrapper of a check for pytest, with the long names of the fixtures in its signature."""
    signature = inspect.signature(function)
    renamed = [one.replace(name=PLAIN.get(name, name)) for name, one in signature.parameters.items()]
    plain = {PLAIN[name]: name for name in signature.parameters if name in PLAIN}

    @functools.wraps(function)
    async def asked(**fixtures: Any) -> None:
        __tracebackhide__ = True
        await function(**{plain.get(name, name): value for name, value in fixtures.items()})

    asked.__signature__ = signature.replace(parameters=renamed)  # type: ignore[attr-defined]
    return asked
