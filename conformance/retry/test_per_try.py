"""The limit of a single attempt, by itself and within the limit of the request."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    Capability,
    Documented,
    Exchange,
    Failure,
    MeshUnderTest,
    Retry,
    Time,
    Timeout,
    Workload,
    check,
    control,
    expect,
    needs,
)

from ..timeout.limits import PENDING, begin_within

PER_TRY = 1.2
"""Seconds that an attempt may take: more than a slow machine needs for a prompt answer."""
LATE = 0.1
"""Seconds after its limit at which an attempt would be answered."""
NEXT = 0.5
"""Seconds that the next attempt takes, so that an answer to the first one would come before its own."""
TICK = 0.01
"""Seconds by which a limit may seem short: timers are as coarse as the event loop that they run in."""

REQUEST_LIMITS = {
    # id: seconds that the request may take, with all its attempts; None: no limit
    "alone": None,
    "with-request-limit": 5.0,
}
LIMIT, PACE, RETRIES = 0.5, 0.15, 20
"""Seconds of a request, seconds of each of its attempts, and more retries than fit."""


def overdue(mesh: MeshUnderTest) -> Mapping[str, Any]:
    """What a policy lists to have attempts retried that exceed their limit."""
    return {"on": {Failure.RESET}} if Failure.RESET in mesh.documented.retry.failures else {"statuses": {504}}


def leaves_overdue(documented: Documented) -> str:
    """Why an attempt that exceeds its limit is not retried; empty where it is."""
    source = documented.retry.source("overdue_retried")
    return "" if documented.retry.overdue_retried else f"attempts that exceed their limit are not retried ({source})"


def slow(mesh: MeshUnderTest, exchange: Exchange, limit: float) -> Time | None:
    """The stall that can explain that a limit cut an exchange; none if it ended before the limit was over."""
    return mesh.time(limit) if exchange.seconds >= limit else None


def passed_on(mesh: MeshUnderTest, retried: Exchange) -> Time | None:
    """The stall that can explain an answer of the first attempt, or none of the second."""
    return Time(LATE, retried.seconds) if retried.served else slow(mesh, retried, 2 * PER_TRY)


@pytest.mark.parametrize("request_limit", REQUEST_LIMITS)
@needs(leaves_overdue)
@check(MUST, "retry.per-try", proves={Capability.PER_TRY_TIMEOUT}, uses={Capability.RETRY, Capability.TIMEOUT})
async def test_per_try_timeout_starts_the_next(
    mesh: MeshUnderTest, client: Workload, server: Workload, request_limit: str
) -> None:
    """An attempt that exceeds its own limit is cancelled and the next one begins; one within the limit is left alone.

    The late answer of the first attempt never gets through, and its server learns of the cancellation. Both hold
    whether or not the request as a whole has a limit too.
    """
    late = Answer(status=202, delay=PER_TRY + LATE)
    seconds = REQUEST_LIMITS[request_limit]
    retry = Retry(server, 1, per_try=PER_TRY, **overdue(mesh))
    control(await client.get(server, request_id=await server.answers(202))).answered(202)
    async with mesh.policy(retry, *([] if seconds is None else [Timeout(server, seconds)])):
        request_id = await server.answers(late, Answer(delay=NEXT))
        prompt, retried = await asyncio.gather(client.get(server), client.get(server, request_id=request_id))
        attempts = await server.wait_for_attempts(request_id, 2, ended=True, patience=mesh.tolerance)
    expect(prompt, "within the limit", rests_on=slow(mesh, prompt, PER_TRY)).answered()
    arrived = len(await server.attempts(prompt))
    expect(arrived, "attempts within the limit", rests_on=slow(mesh, prompt, PER_TRY)).equals(1)
    expect(retried, "from the next attempt", rests_on=passed_on(mesh, retried)).answered(200)
    expect(attempts).attempted(2)
    expect(attempts[:1], rests_on=mesh.time(mesh.tolerance)).cancelled()
    expect(retried.seconds, "seconds").at_least(PER_TRY + NEXT - TICK)


@needs(leaves_overdue)
@check(MUST, "retry.within-limit", uses={Capability.PER_TRY_TIMEOUT, Capability.RETRY, Capability.TIMEOUT})
async def test_within_the_request_timeout(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """No attempt starts after the limit of the request, however many retries are left.

    No attempt is answered, and each one takes as long as it may. A retry still in back-off when the request times out
    is never sent.
    """
    request_id = await server.answers(Answer(behaviour=Behaviour.STALL), repeat=True)
    async with mesh.policy(Retry(server, RETRIES, per_try=PACE, **overdue(mesh)), Timeout(server, LIMIT)):
        cut = await client.get(server, request_id=request_id)
        attempts = await server.wait_for_attempts(request_id, RETRIES + 1, patience=PENDING)
    expect(cut, rests_on=mesh.time(LIMIT)).answered(mesh.documented.timeout.status)
    expect(cut).took(LIMIT - TICK, LIMIT + mesh.tolerance)
    control(len(attempts), "attempts, so that there was something to bound").at_least(2)
    begin_within(mesh, LIMIT, attempts)
