"""The limit of a single attempt, and the limit of the request that it belongs to."""

from collections.abc import Awaitable
from dataclasses import dataclass

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Exchange,
    MeshUnderTest,
    Retry,
    Time,
    Timeout,
    check,
    control,
    expect,
)

from .limits import comes_late

PER_TRY = 1.2
"""Seconds that an attempt may take."""
PACE = 0.75
"""Seconds that an attempt takes: two of them are longer than the limit of one, and than ``TOGETHER``."""
TOGETHER = 1.3
"""Seconds that a request may take with all its attempts; not shorter than ``PER_TRY``, as the Gateway API demands."""
TICK = 0.01
"""Seconds by which a limit may seem short: timers are as coarse as the event loop that they run in."""


@dataclass(frozen=True)
class TwoAttempts:
    """Requests whose first attempt fails, and whose second one takes as long.

    Attributes:
        each: Under a limit of each attempt.
        both: Under a limit of both together as well.
        stall: What explains that ``both`` is served; None where nothing does.
    """

    each: Exchange
    both: Exchange
    stall: Time | None


async def two_attempts(mesh: MeshUnderTest) -> TwoAttempts:
    """Make these requests, between workloads that nobody else calls."""
    client, server = await mesh.workload("second_client"), await mesh.workload("client_in_green")
    slow = Answer(status=503, delay=PACE), Answer(delay=PACE)
    retry = Retry(server, 1, statuses={503}, per_try=PER_TRY)

    async def ask() -> Exchange:
        return await client.get(server, request_id=await server.answers(*slow))

    async with mesh.policy(retry):
        each = await ask()
    async with mesh.policy(retry, Timeout(server, TOGETHER)):
        both, stall = await comes_late(ask, 2 * PACE - TOGETHER)
    return TwoAttempts(each, both, stall)


@check(
    MUST,
    "timeout.backend",
    proves={Capability.PER_TRY_TIMEOUT},
    uses={Capability.RETRY, Capability.TIMEOUT},
    head_start=two_attempts,
)
async def test_backend_request(mesh: MeshUnderTest, head_start: Awaitable[TwoAttempts]) -> None:
    """The limit of an attempt holds for each attempt alone; the limit of the request holds for all of them together.

    The first of two attempts fails, and each takes more than half of the limit of an attempt. Without a limit of the
    request the second one is answered, after more time than one attempt may take. A limit of the request that is a
    little longer than that of an attempt cuts the second one.
    """
    server = await mesh.workload("client_in_green")
    seen = await head_start
    each, both = seen.each, seen.both
    control(await server.attempts(each), "attempts").attempted(2)
    expect(each, "two attempts, each within its limit", rests_on=mesh.time(PER_TRY)).answered(200)
    control(each.seconds, "seconds").at_least(2 * PACE - TICK)
    expect(both, "two attempts, together beyond the limit of the request", rests_on=seen.stall).answered(
        mesh.documented.timeout.status
    )
    expect(both.seconds, "seconds until it is cut", rests_on=mesh.time(TOGETHER)).at_least(TOGETHER - TICK)
