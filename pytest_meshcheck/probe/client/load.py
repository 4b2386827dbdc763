"""Open-loop load: arrivals on a fixed schedule, never slowed by answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from pytest_meshcheck.probe.client.client import exchange, speaker
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import (
    Ending,
    Exchange,
    LoadPlan,
    LoadResult,
    PolledValue,
    Property,
    Request,
)

Sender = Callable[[Request], Awaitable[Exchange]]

NO_STATUS = -1
SHOWN = 100
"""Characters of a bad answer that are kept."""


class Load:
    """One load under way. A request that is late is sent at once, none is skipped.

    Attributes:
        overrun: Whether requests were sent so late that it has ended.
    """

    def __init__(self, plan: LoadPlan, send: Sender) -> None:
        self.overrun = False
        self._plan = plan
        self._send = send
        self._began, self._wall = time.monotonic(), time.time()
        self._scheduled: list[float] = []
        self._sent: list[float] = []
        self._outcomes: dict[int, tuple[float, Ending, int, str, PolledValue]] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        self._schedule = asyncio.create_task(self._run())

    @property
    def number(self) -> int:
        """The number of requests so far."""
        return len(self._sent)

    @property
    def late(self) -> float:
        """By how many seconds the newest request was sent too late."""
        return self._sent[-1] - self._scheduled[-1] if self._sent else 0.0

    async def finish(self) -> LoadResult:
        """End it: at once if it has no end of its own, else when its seconds are over; then await all answers.

        Raises:
            ProbeFault: A request could not be made for a reason that lies in the probe.
        """
        if self._plan.seconds is None:
            self._schedule.cancel()
        await asyncio.wait({self._schedule})
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._fault is not None:
            raise ProbeFault(f"the load {self._plan.request_id} broke: {self._fault!r}") from self._fault
        return self._result()

    async def _run(self) -> None:
        while self._plan.seconds is None or len(self._sent) < self._plan.rate * self._plan.seconds:
            due = self._began + len(self._sent) / self._plan.rate
            wait = due - time.monotonic()
            # Even a late schedule yields once per arrival, or it would starve the answers under way.
            await asyncio.sleep(max(wait, 0))
            self._arrive(due)
            if self.late > self._plan.late:
                self.overrun = True
                return

    def _arrive(self, due: float) -> None:
        number = len(self._sent)
        self._scheduled.append(due)
        self._sent.append(time.monotonic())
        task = asyncio.create_task(self._one(number))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    async def _one(self, number: int) -> None:
        request = msgspec.structs.replace(self._plan.template, request_id=f"{self._plan.request_id}-{number}")
        seen = await self._send(request)
        status, success = seen.code, request.protocol.facts.success
        detail = seen.detail or (seen.body_start[:SHOWN] if status not in (success, None) else "")
        shown = seen.shows(Property.POLICIES)
        self._outcomes[number] = (seen.ended, seen.ending, NO_STATUS if status is None else status, detail, shown)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = self._fault or error

    def _result(self) -> LoadResult:
        outcomes = [self._outcomes[number] for number in range(len(self._sent))]
        return LoadResult(
            request_id=self._plan.request_id,
            protocol=self._plan.template.protocol,
            scheduled=tuple(self._scheduled),
            sent=tuple(self._sent),
            ended=tuple(outcome[0] for outcome in outcomes),
            endings=tuple(outcome[1] for outcome in outcomes),
            statuses=tuple(outcome[2] for outcome in outcomes),
            details=tuple(outcome[3] for outcome in outcomes),
            policies=tuple(outcome[4] for outcome in outcomes),
            overrun=self.overrun,
            began=self._began,
            wall=self._wall,
        )


@dataclass
class Loads:
    """The loads under way, by their ids."""

    _under_way: dict[str, Load] = field(default_factory=dict)

    async def start(self, plan: LoadPlan) -> None:
        """Begin a load; ProbeFault where the plan makes no sense."""
        if plan.rate <= 0:
            raise ProbeFault(f"a load needs a rate above 0 per second, not {plan.rate}")
        if plan.request_id in self._under_way:
            raise ProbeFault(f"load {plan.request_id!r} is under way already")
        # Loaded before the first arrival is due.
        await speaker(plan.template.protocol)
        self._under_way[plan.request_id] = Load(plan, exchange)

    async def finish(self, request_id: str) -> LoadResult:
        """End a load and return its result; ProbeFault if the id is unknown."""
        load = self.named(request_id)
        del self._under_way[request_id]
        return await load.finish()

    def named(self, request_id: str) -> Load:
        """The load of an id; ProbeFault if there is none."""
        try:
            return self._under_way[request_id]
        except KeyError:
            raise ProbeFault(f"no load {request_id!r}; under way are {', '.join(self._under_way) or 'none'}") from None
