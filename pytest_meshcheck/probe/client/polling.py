"""The same request again and again, until its answers are convincing.

A data plane can go by new policies non-monotonically for a moment (refused, served, refused), so one answer proves
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
    Look,
    Shown,
    Sighting,
    Sign,
    Watch,
)

PAUSE = 0.01


async def watch(command: Watch) -> tuple[Sighting, ...]:
    """Look side by side until every look has ended.

    Raises:
        ProbeFault: A request makes no sense, or this machine cannot make it.
    """
    until = asyncio.get_running_loop().time() + command.within
    return tuple(await asyncio.gather(*(_look(look, command.in_a_row, until) for look in command.looks)))


async def _look(look: Look, in_a_row: int, until: float) -> Sighting:
    expected, right = look.expected, 0
    for number in itertools.count():
        request = msgspec.structs.replace(look.request, request_id=f"{look.request.request_id}-{number}")
        shown = _shown(look.sign, await exchange(request))
        right = right + 1 if shown == expected else int(look.expected is msgspec.UNSET)
        if right == in_a_row or (shown != expected and asyncio.get_running_loop().time() > until):
            return Sighting(shown=shown, convincing=right == in_a_row)
        if not right:
            await asyncio.sleep(PAUSE)
        expected = shown if look.expected is msgspec.UNSET else expected
    raise AssertionError("counted to the end")


def _shown(sign: Sign, seen: Exchange) -> Shown:
    if seen.ending is not Ending.ANSWERED:
        return False
    if sign is Sign.SERVED:
        return seen.served
    shown = seen.header(POLICIES_HEADER)
    return seen.header(POLICIES_SEEN_HEADER) if shown is None else shown
