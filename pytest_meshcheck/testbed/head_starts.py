"""Head starts: the parts of checks that begin with the session, because they have to wait long."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from pytest_meshcheck.probe.process.pulse import now


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
    """The head starts of one session, by the id of their check with its parameters."""

    _running: dict[str, HeadStart] = field(default_factory=dict)

    def begin(self, check_id: str, start: Coroutine[Any, Any, Any]) -> None:
        """Begin the head start of a check."""
        self._running[check_id] = HeadStart(now(), asyncio.ensure_future(start))

    def of(self, check_id: str) -> HeadStart:
        """The head start of a check."""
        return self._running[check_id]

    async def close(self) -> None:
        """Cancel those that still run."""
        for one in self._running.values():
            one.task.cancel()
        await asyncio.gather(*(one.task for one in self._running.values()), return_exceptions=True)
