"""Rendering by a table from the kind of a policy to a function."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import Policy

Rendered = TypeVar("Rendered")


def rendering(table: Mapping[type[Any], Callable[..., Rendered]], policy: Policy, mesh: str) -> Callable[..., Rendered]:
    """The function for a policy's kind.

    Args:
        table: The functions of one mesh, by kind; each mesh chooses their parameters.
        policy: The policy to render.
        mesh: The mesh, for the message.

    Raises:
        Unsupported: The mesh has no function for this kind.
    """
    kind = type(policy)
    if kind not in table:
        known = ", ".join(sorted(one.__name__ for one in table))
        raise Unsupported(f"{mesh} has no resource for {kind.__name__}, only for {known}")
    return table[kind]
