"""Head starts: the parts of checks that wait long, made once for all checks that have the same.

They begin with the session. Those of disruptive checks begin when the first of these awaits them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.probe.process.pulse import now

if TYPE_CHECKING:
    from pytest_meshcheck.testbed.mesh import MeshUnderTest


@dataclass(frozen=True)
class HeadStart:
    """A running head start.

    Attributes:
        since: Its start, by the clock of ``probe.process.pulse``.
        task: Ends with its result.
    """

    since: float
    task: "asyncio.Task[Any]"


@dataclass(eq=False)
class HeadStarts:
    """The head starts of one session, by their function."""

    _running: dict[Callable[[Any], Awaitable[Any]], HeadStart] = field(default_factory=dict)

    def begin(self, check: Check, mesh: "MeshUnderTest") -> None:
        """Start the head start of a check, if it has one that may overlap with other checks."""
        if check.head_start and not check.disruptive:
            self.of(check, mesh)

    def of(self, check: Check, mesh: "MeshUnderTest") -> HeadStart:
        """The head start of a check, begun now if it has not begun before; TypeError if the check has none."""
        if check.head_start is None:
            raise TypeError(f"{check.id} has no head start: name one in its declaration")
        if check.head_start not in self._running:
            self._running[check.head_start] = HeadStart(now(), asyncio.ensure_future(check.head_start(mesh)))
        return self._running[check.head_start]

    async def close(self) -> None:
        """Cancel those that still run."""
        for one in self._running.values():
            one.task.cancel()
        await asyncio.gather(*(one.task for one in self._running.values()), return_exceptions=True)
