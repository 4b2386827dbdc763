"""The same request again and again, until its answers are convincing.

A data plane can apply new policies non-monotonically for a moment (refused, served, refused), so one answer proves
nothing: each has to be as expected several times in a row.
"""

import asyncio
import itertools

import msgspec

from pytest_meshcheck.probe.client.client import exchange
from pytest_meshcheck.probe.protocol.messages import Poll, PollResult, Watch

PAUSE = 0.01
"""Seconds between two polls, at first."""

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
    begun, expected, right = now(), poll.expected, 0
    for number in itertools.count():
        request = msgspec.structs.replace(poll.request, request_id=f"{poll.request.request_id}-{number}")
        value = (await exchange(request)).shows(poll.examined)
        right = right + 1 if value == expected else int(poll.expected is msgspec.UNSET)
        waited = now() - begun
        if right == in_a_row or (value != expected and waited > within):
            return PollResult(value=value, convincing=right == in_a_row, at_once=right == number + 1 == in_a_row)
        if not right:
            await asyncio.sleep(max(PAUSE, waited * SHARE))
        expected = value if poll.expected is msgspec.UNSET else expected
    raise AssertionError("counted to the end")
