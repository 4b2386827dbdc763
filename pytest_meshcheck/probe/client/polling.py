"""The same request again and again, until its answers are convincing.

A data plane can apply new policies non-monotonically for a moment (refused, served, refused), so one answer proves
nothing: each has to be as expected several times in a row.
"""

import asyncio
import itertools

import msgspec

from pytest_meshcheck.probe.client.client import exchange
from pytest_meshcheck.probe.protocol.messages import (
    POLICIES_HEADER,
    POLICIES_SEEN_HEADER,
    Ending,
    Exchange,
    Poll,
    PolledValue,
    PollResult,
    Property,
    Watch,
)

PAUSE = 0.01


async def watch(command: Watch) -> tuple[PollResult, ...]:
    """Poll side by side until every poll has ended.

    Raises:
        ProbeFault: A request makes no sense, or this machine cannot make it.
    """
    until = asyncio.get_running_loop().time() + command.within
    return tuple(await asyncio.gather(*(_poll(poll, command.in_a_row, until) for poll in command.polls)))


async def _poll(poll: Poll, in_a_row: int, until: float) -> PollResult:
    expected, right = poll.expected, 0
    for number in itertools.count():
        request = msgspec.structs.replace(poll.request, request_id=f"{poll.request.request_id}-{number}")
        value = _value(poll.examined, await exchange(request))
        right = right + 1 if value == expected else int(poll.expected is msgspec.UNSET)
        if right == in_a_row or (value != expected and asyncio.get_running_loop().time() > until):
            return PollResult(value=value, convincing=right == in_a_row)
        if not right:
            await asyncio.sleep(PAUSE)
        expected = value if poll.expected is msgspec.UNSET else expected
    raise AssertionError("counted to the end")


def _value(examined: Property, seen: Exchange) -> PolledValue:
    if seen.ending is not Ending.ANSWERED:
        return False
    if examined is Property.SERVED:
        return seen.served
    value = seen.header(POLICIES_HEADER)
    return seen.header(POLICIES_SEEN_HEADER) if value is None else value
