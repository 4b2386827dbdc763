"""What checks call the workloads: ``client`` for the fixture ``mesh_client``, and so on.

Names as plain as these belong to other plugins wherever no check asks for them.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_meshcheck.model.stage import STAGE

PLAIN = {plain: f"mesh_{plain}" for plain in (*STAGE, "upgraded", "head_start")}
"""What a check calls a fixture, and its name for everybody else."""

ROLES = {PLAIN[role]: role for role in STAGE}
"""Fixture: the workload of the stage that it is."""


def by_plain_names(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A check as pytest is to see it: it asks for the fixtures by the names that they have for everybody."""
    signature = inspect.signature(function)
    renamed = [one.replace(name=PLAIN.get(name, name)) for name, one in signature.parameters.items()]
    plain = {PLAIN[name]: name for name in signature.parameters if name in PLAIN}

    @functools.wraps(function)
    async def asked(**fixtures: Any) -> None:
        __tracebackhide__ = True
        await function(**{plain.get(name, name): value for name, value in fixtures.items()})

    asked.__signature__ = signature.replace(parameters=renamed)  # type: ignore[attr-defined]
    return asked
