"""Head starts: the parts of checks that wait long, made once for all checks that have the same.

They begin with the session. Those of disruptive checks begin when the first of these awaits them.
"""

import asyncio
import contextvars
import functools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from pytest_meshcheck.probe.process.pulse import now


@dataclass(frozen=True)
class PlannedHeadStart:
    """The head start of a check.

    Attributes:
        start: Its function with the parameters of the check; it takes the mesh.
        deferred: Whether it begins when a check awaits it: it must not overlap with others, or it may never be awaited.
    """

    start: "functools.partial[Coroutine[Any, Any, Any]]"
    deferred: bool = False

    @property
    def key(self) -> tuple[Any, str]:
        """What checks that share it have in common."""
        return self.start.func, repr(sorted(self.start.keywords.items()))


@dataclass(eq=False)
class HeadStart:
    """A running head start.

    Attributes:
        since: Its start, by the clock of ``probe.process.pulse``.
        task: Ends with its result.
        ended: Its end, by the same clock; None while it runs.
    """

    since: float
    task: "asyncio.Task[Any]"
    ended: float | None = None

    def __post_init__(self) -> None:
        self.task.add_done_callback(self._note_end)

    def _note_end(self, _: "asyncio.Task[Any]") -> None:
        self.ended = now()


@dataclass(eq=False)
class HeadStarts:
    """The head starts of one session, each begun once."""

    _planned: dict[str, PlannedHeadStart] = field(default_factory=dict)
    """By the id of the check with its parameters."""
    _running: dict[tuple[Any, str], HeadStart] = field(default_factory=dict)

    def begin(self, check_id: str, planned: PlannedHeadStart, mesh: Any) -> None:
        """Begin the head start of a check, if it may overlap with others."""
        self._planned[check_id] = planned
        if not planned.deferred:
            self.of(check_id, mesh)

    def of(self, check_id: str, mesh: Any) -> HeadStart:
        """The head start of a check, begun now if it has not begun before."""
        planned = self._planned[check_id]
        if planned.key not in self._running:
            # without the context of the check that begins it, which would collect its failed controls
            task = asyncio.get_running_loop().create_task(planned.start(mesh), context=contextvars.Context())
            self._running[planned.key] = HeadStart(now(), task)
        return self._running[planned.key]

    async def close(self) -> None:
        """Cancel the running head starts and forget all of them, so that an upgraded mesh begins its own."""
        running, self._running = self._running, {}
        for one in running.values():
            one.task.cancel()
        await asyncio.gather(*(one.task for one in running.values()), return_exceptions=True)
