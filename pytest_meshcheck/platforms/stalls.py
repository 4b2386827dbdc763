"""Stalled processes of a run: probes report their own stalls, /proc shows the stalls of other processes."""

import asyncio
import errno
import os
import resource
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Interval, Stall
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.probe.controller import Probe, ProbeLost
from pytest_meshcheck.probe.process.limits import lacking, quoted
from pytest_meshcheck.probe.process.pulse import Gap, now, standstill
from pytest_meshcheck.probe.protocol import messages as m

ANSWERS_WITHIN = 5.0
"""Seconds within which a probe must answer; otherwise it counts as stalled for that time."""

LOOKED_AT_EVERY = 0.1
"""Seconds between two looks at the state of processes without a pulse of their own."""

KEPT = 1000
"""Gaps that are kept of one process; the oldest are dropped."""

STOPPED = ("T", "t")
"""States in /proc/PID/stat of a process that a signal or a debugger has stopped; see proc(5)."""


async def felt(process: str, probe: Probe, interval: Interval) -> Stall:
    """For how long a probe could not react, as it says itself.

    Raises:
        Inconclusive: It is gone.
    """
    moment = now()
    command = m.FeelPulse(moment - interval.since, moment - interval.until, interval.during)
    try:
        reply = await asyncio.wait_for(probe.call(command), ANSWERS_WITHIN)
    except TimeoutError:
        return Stall(process, m.Standstill(longest=ANSWERS_WITHIN, lost=ANSWERS_WITHIN))
    except ProbeLost as lost:
        raise Inconclusive(f"the {process} is gone: {lost}") from lost
    if not isinstance(reply, m.Felt):
        raise Inconclusive(f"the {process} does not know its pulse: {reply}")
    return Stall(process, reply.standstill)


MANY = 4096
"""Where so many files or more may be open, they are not counted."""

SPARE = 8
"""Files that one who has run out of them may have left when they are counted: some are open for a moment only."""


@dataclass(eq=False)
class WatchedChildren:
    """Notices children that are stopped, such as by SIGSTOP, or are at their limit of open files.

    It looks while the event loop runs; what has a pulse of its own is better asked.

    Attributes:
        children: Those that are looked at.
    """

    children: Callable[[], Iterable[Child]]
    _gaps: defaultdict[str, deque[Gap]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=KEPT)))
    _stopped: dict[str, float] = field(default_factory=dict)
    _shortages: dict[str, str] = field(default_factory=dict)
    _next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start to look periodically, unless that has been started."""
        if self._next is None:
            self._look_again()

    def end(self) -> None:
        """Stop looking."""
        if self._next is not None:
            self._next.cancel()

    def over(self, interval: Interval) -> list[Stall]:
        """Which of them were stopped in an interval, and for how long, and which have run out of a resource."""
        self._look()
        self._read_logs()
        stopped = self._with_open()
        return [self._stall(process, stopped.get(process, []), interval) for process in {*stopped, *self._shortages}]

    @property
    def longest(self) -> float:
        """For how many seconds at a stretch one of them was stopped, at most."""
        return max((gap.seconds for gaps in self._with_open().values() for gap in gaps), default=0.0)

    def _stall(self, process: str, gaps: Iterable[Gap], interval: Interval) -> Stall:
        clipped = (gap.within(interval.since, interval.until) for gap in gaps)
        gaps = [gap for gap in clipped if gap.seconds]
        return Stall(process, standstill(gaps, interval.during, self._shortages.get(process, "")))

    def _with_open(self) -> Mapping[str, list[Gap]]:
        ended = {process: list(gaps) for process, gaps in self._gaps.items()}
        for process, begun in self._stopped.items():
            ended.setdefault(process, []).append(Gap(begun, now()))
        return ended

    def _look_again(self) -> None:
        self._look()
        self._next = asyncio.get_running_loop().call_later(LOOKED_AT_EVERY, self._look_again)

    def _look(self) -> None:
        alive = [child for child in self.children() if child.alive]
        stopped = {child.name for child in alive if _state(child.process.pid) in STOPPED}
        for process in [process for process in self._stopped if process not in stopped]:
            self._gaps[process].append(Gap(self._stopped.pop(process), now()))
        for process in stopped:
            self._stopped.setdefault(process, now())
        for child in alive:
            if child.name not in self._shortages and _is_out_of_files(child.process.pid):
                self._shortages[child.name] = lacking(errno.EMFILE, _limit(child.process.pid))

    def _read_logs(self) -> None:
        """Find processes that ran out of files between two looks, or of memory; Envoy logs that."""
        for child in self.children():
            if child.alive and child.name not in self._shortages and (number := quoted(child.said())):
                self._shortages[child.name] = lacking(number, _limit(child.process.pid))


def _state(pid: int) -> str:
    """The state of a process as one letter; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _limit(pid: int) -> int:
    """The limit of open files of a child."""
    try:
        limit, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except ProcessLookupError:
        return MANY
    return limit if limit != resource.RLIM_INFINITY else MANY


def _is_out_of_files(pid: int) -> bool:
    limit = _limit(pid)
    if limit >= MANY:
        return False
    try:
        return len(os.listdir(f"/proc/{pid}/fd")) > limit - SPARE  # noqa: PTH208 - many times a second
    except (FileNotFoundError, PermissionError):
        return False
