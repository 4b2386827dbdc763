"""The same request again and again, until its answers are convincing.

A data plane can apply new policies non-monotonically for a moment (refused, served, refused), so one answer proves
nothing: each has to be as expected several times in a row.
"""

import asyncio
import itertools
from collections import deque
from contextlib import aclosing

import msgspec

from pytest_meshcheck.probe.client.client import exchange
from pytest_meshcheck.probe.protocol.messages import Poll, PollResult, Watch
from pytest_meshcheck.probe.protocol.requests import SILENT, PolledValue

PAUSE = 0.01
"""Seconds between two polls, at first."""

UNANSWERED = 0.3
"""Seconds without an answer after which the next request starts beside the one before."""

SHARE = 0.1
"""The shortest pause as a share of the wait so far: constant polling would take the CPU time that the effect needs."""


async def watch(command: Watch) -> tuple[PollResult, ...]:
    """Poll side by side until every poll has ended.

    Raises:
        ProbeFault: A request makes no sense, or this machine cannot make it.
    """
    return tuple(await asyncio.gather(*(_poll(poll, command.in_a_row, command.within) for poll in command.polls)))


async def _poll(poll: Poll, in_a_row: int, within: float) -> PollResult:
    now = asyncio.get_running_loop().time
    begun, expected, right, first = now(), poll.expected, 0, 0.0
    async with aclosing(_Answers(poll)) as answers:
        for number in itertools.count():
            sent, value = await answers.next(in_a_row - right)
            silent = value == SILENT
            repeats = value == expected and not silent
            right = right + 1 if repeats else int(poll.expected is msgspec.UNSET and not silent)
            first = sent if right <= 1 else first
            waited = now() - begun
            if right == in_a_row or (not repeats and waited > within):
                convincing = right == in_a_row
                at_once = convincing and number + 1 == in_a_row
                return PollResult(
                    value=value, convincing=convincing, at_once=at_once, begun=first - begun, ended=waited
                )
            if not right:
                await asyncio.sleep(max(PAUSE, waited * SHARE))
            expected = value if poll.expected is msgspec.UNSET and not silent else expected
    raise AssertionError("counted to the end")


class _Answers:
    """The results of the requests of one poll with their send times, in the order of the requests.

    A request that is dropped shows that only after all of its patience, so the next ones start beside it.
    """

    def __init__(self, poll: Poll) -> None:
        self._poll = poll
        self._begun = 0
        self._under_way: deque[asyncio.Task[tuple[float, PolledValue]]] = deque()

    async def next(self, wanted: int) -> tuple[float, PolledValue]:
        """The send time and the result of the next request; up to ``wanted`` requests are in flight meanwhile."""
        if not self._under_way:
            self._begin()
        while len(self._under_way) < wanted and not await self._answered():
            self._begin()
        return await self._under_way.popleft()

    async def aclose(self) -> None:
        """Give up the requests that nobody asks about any more."""
        for request in self._under_way:
            request.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _answered(self) -> bool:
        """Whether the oldest request ends within a moment."""
        done, _ = await asyncio.wait({self._under_way[0]}, timeout=UNANSWERED)
        return bool(done)

    def _begin(self) -> None:
        self._under_way.append(asyncio.create_task(self._shown(f"{self._poll.request.request_id}-{self._begun}")))
        self._begun += 1

    async def _shown(self, request_id: str) -> tuple[float, PolledValue]:
        sent = asyncio.get_running_loop().time()
        request = msgspec.structs.replace(self._poll.request, request_id=request_id)
        value = (await exchange(request)).shows(self._poll.examined)
        return sent, False if self._poll.drops and value == SILENT else value
