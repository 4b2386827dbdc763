"""Where exactly a limit lies: what comes within it, what comes just after it, and when it cuts."""

import asyncio
from functools import partial

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Exchange,
    MeshUnderTest,
    Timeout,
    Workload,
    check,
    control,
    expect,
)

from .limits import stall_of

LIMITS = {
    # limit in seconds: when answers come that are well within it, even where a machine needs a second for them
    0.05: (),
    0.2: (),
    0.5: (),
    1.2: (0.0, 0.1),
}
LATE = (0.05, 0.1, 0.2)
"""Seconds after a limit at which answers come."""
TICK = 0.01
"""Seconds by which a limit may seem short: timers are as coarse as the event loop that they run in."""


@pytest.mark.parametrize("limit", LIMITS)
@check(MUST, "timeout.boundary", proves={Capability.TIMEOUT})
async def test_just_late_is_cut(mesh: MeshUnderTest, client: Workload, server: Workload, limit: float) -> None:
    """An answer that comes just after the limit never gets through, and none is cut before the limit is over.

    The server answers 50, 100 and 200 ms after the limit, counted from when the request arrives there, which is after
    the mesh has begun to count. Delays on the way make an answer later still, so that a slow machine is no excuse: only
    a data plane that was paused across its limit is, and that does not happen to each of several requests.
    """
    within, late = LIMITS[limit], [limit + seconds for seconds in LATE]
    ids = [await server.answers(Answer(delay=delay)) for delay in (*within, *late)]
    control(await client.get(server)).answered()

    async def again(seconds: float) -> Exchange:
        return await client.get(server, request_id=await server.answers(Answer(delay=limit + seconds)))

    async with mesh.policy(Timeout(server, limit)):
        answers = await asyncio.gather(*(client.get(server, request_id=number) for number in ids))
        overdue = dict(zip(LATE, answers[len(within) :], strict=True))
        stalls = {seconds: await stall_of(one, partial(again, seconds), seconds) for seconds, one in overdue.items()}
    for seconds, cut in overdue.items():
        expect(cut, f"{seconds * 1000:g} ms late", rests_on=stalls[seconds]).answered(mesh.documented.timeout.status)
        expect(cut.seconds, "seconds until it is cut", rests_on=mesh.time(limit)).at_least(limit - TICK)
    for answer in answers[: len(within)]:
        expect(answer, "well within the limit", rests_on=mesh.time(limit)).answered()
