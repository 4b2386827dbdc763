"""The pulse of a process: for how long its event loop could not react.

Whatever a process does in time - answer, give up, renew a certificate - it does from its event loop. A loop that is
stopped with its process, starved by other processes or blocked by a long computation reacts late, and so does
everything that depends on it. A timer that is due every ``PERIOD`` shows how late.
"""

import asyncio
import resource
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pytest_meshcheck.probe.process.limits import SHORTAGES, lacking
from pytest_meshcheck.probe.protocol.observations import Standstill

PERIOD = 0.05
"""Seconds between two beats: 20 a second cost about 0.2 % of a processor."""

PUNCTUAL = 0.01
"""Seconds by which a beat may be late on an idle machine."""

KEPT = 20_000
"""Late beats; more than a starved process has in 15 minutes. Beyond it the oldest go."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that goes on while the machine sleeps: certificates end meanwhile as well."""


def now() -> float:
    """Seconds of the clock by which standstills are measured; comparable within one machine only."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True)
class Gap:
    """A time without a reaction, from when a beat was due until it came."""

    begun: float
    ended: float

    def within(self, since: float, until: float) -> "Gap":
        """The part of it that lies in an interval; it may be empty."""
        begun = max(self.begun, since)
        return Gap(begun, max(begun, min(self.ended, until)))

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ended - self.begun


def standstill(gaps: Iterable[Gap], during: float, shortage: str = "") -> Standstill:
    """The longest of these gaps, and the most seconds without a reaction in any ``during`` seconds."""
    window: deque[Gap] = deque()
    longest = worst = lost = 0.0
    for gap in gaps:
        window.append(gap)
        lost += gap.seconds
        while gap.ended - window[0].ended > during:
            lost -= window.popleft().seconds
        longest, worst = max(longest, gap.seconds), max(worst, lost)
    return Standstill(longest=longest, lost=worst, shortage=shortage)


@dataclass(eq=False)
class Pulse:
    """The pulse of the event loop that runs when it begins.

    Attributes:
        longest: The longest gap since it began, in seconds.
        shortage: The resource that the process ran out of, as far as its event loop knows; empty if none.
    """

    longest: float = 0.0
    shortage: str = ""
    _gaps: deque[Gap] = field(default_factory=lambda: deque(maxlen=KEPT))
    _due: float = 0.0
    _next: asyncio.TimerHandle | None = None
    _handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    def begin(self) -> None:
        """Begin to beat, and to notice shortages that are reported to the loop alone, such as of ``accept``."""
        loop = asyncio.get_running_loop()
        self._handler = loop.get_exception_handler()
        loop.set_exception_handler(self._notice)
        self._schedule(loop)

    def end(self) -> None:
        """Beat no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def over(self, since: float, until: float, during: float) -> Standstill:
        """The time lost by the loop between two moments of ``now``, the gap that is open at this moment included."""
        moment = now()
        gaps = [*self._gaps, *([Gap(self._due, moment)] if moment - self._due > PUNCTUAL else [])]
        clipped = (gap.within(since, until) for gap in gaps if gap.ended > since and gap.begun < until)
        return standstill(clipped, during, self.shortage)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = now() + PERIOD
        self._next = loop.call_later(PERIOD, self._beat, loop)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        moment = now()
        if moment - self._due > PUNCTUAL:
            self._gaps.append(Gap(self._due, moment))
            self.longest = max(self.longest, moment - self._due)
        self._schedule(loop)

    def _notice(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            self.shortage = lacking(error.errno, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if self._handler is None:
            loop.default_exception_handler(context)
        else:
            self._handler(loop, context)
