"""Head starts: the parts of checks that begin with the session, because they have to wait long."""

import asyncio
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
    """The head starts of one session, by the id of their check."""

    _running: dict[str, HeadStart] = field(default_factory=dict)

    def begin(self, check: Check, mesh: "MeshUnderTest") -> None:
        """Start the head start of a check, if it has one."""
        if check.head_start:
            self._running[check.id] = HeadStart(now(), asyncio.ensure_future(check.head_start(mesh)))

    def of(self, check: Check) -> HeadStart:
        """The head start of a check."""
        return self._running[check.id]

    async def close(self) -> None:
        """Cancel those that still run."""
        for one in self._running.values():
            one.task.cancel()
        await asyncio.gather(*(one.task for one in self._running.values()), return_exceptions=True)
