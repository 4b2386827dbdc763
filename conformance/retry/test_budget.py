"""The number of retries when all requests fail at once."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Attempt,
    Body,
    Capability,
    MeshUnderTest,
    Protocol,
    Retry,
    RetryBudget,
    Workload,
    check,
    control,
    expect,
    new_id,
    slow,
)

STORMS = {
    # id: (percentage of the budget, or None for the mesh's default; requests that fail at once)
    "default": (None, 100),
    "half": (50.0, 100),
    "default-of-1000": (None, 1000),
}
HELD = 0.3
"""Seconds for which each retry is held before it fails, so that many are in flight together."""
STREAMS = 100
"""Requests on one connection."""
PACE = 0.05
"""Seconds that a busy machine needs to begin one request."""


def in_flight(attempts: Sequence[Attempt]) -> int:
    """The most of these attempts that were at the server at one moment."""
    moments = [(attempt.arrived, 1) for attempt in attempts]
    moments += [(attempt.ended, -1) for attempt in attempts if attempt.ended is not None]
    most = number = 0
    for _, change in sorted(moments):
        number += change
        most = max(most, number)
    return most


async def fail_at_once(client: Workload, server: Workload, number: int) -> tuple[Attempt, ...]:
    """The attempts of so many requests, none of which is whole, and so fails, before all of them have arrived."""
    storm, answers = new_id(), (Answer(status=503), Answer(status=503, delay=HELD))
    ids = [await server.answers(*answers, request_id=f"{storm}-{one}") for one in range(number)]
    patience = client.patience + number * PACE
    halves = {"protocol": Protocol.H2C, "method": "POST", "body": Body(length=2), "pause_after": 1}
    arrived = asyncio.gather(*(server.wait_for_attempts(one, patience=patience) for one in ids))
    async with AsyncExitStack() as connections:
        kept = (connections.enter_async_context(client.kept_connection()) for _ in range(math.ceil(number / STREAMS)))
        names = [await one for one in kept]
        sent = (
            client.in_two_parts(
                server,
                asyncio.shield(arrived),
                request_id=one,
                connection=names[place // STREAMS],
                patience=patience,
                **halves,
            )
            for place, one in enumerate(ids)
        )
        await asyncio.gather(*sent)
    return await server.attempts_under(f"{storm}-")


@pytest.mark.parametrize("storm", [pytest.param(one, marks=[slow] if "1000" in one else []) for one in STORMS])
@check(MUST, "retry.budget", proves={Capability.RETRY_BUDGET}, uses={Capability.RETRY})
async def test_budget_bounds_a_storm(mesh: MeshUnderTest, client: Workload, server: Workload, storm: str) -> None:
    """When every request fails at once, no more retries are in flight than the budget allows, and not many fewer.

    The first request fails when all are under way, and each retry is held for a while. The ledger shows how many
    retries were at the server together. A request never has more than one attempt under way, so that the budget is
    never more than its share of their number. As nearly all are under way while the first ones fail, retries of at
    least half of that share have to come.
    """
    percent, number = STORMS[storm]
    documented = mesh.documented.retry
    share = number * (percent or documented.budget_percent) / 100
    async with mesh.policy(Retry(server, 1, statuses={503}), RetryBudget(server, percent)):
        control(await client.get(server)).answered()
        attempts = await fail_at_once(client, server, number)
    first, again = ([one for one in attempts if (one.number > 1) is retried] for retried in (False, True))
    control(in_flight(first), "requests under way together").at_least(number)
    expect(in_flight(again), "retries under way together").at_most(max(share, documented.budget_least))
    over = min((one.ended or math.inf for one in again), default=math.inf)
    failed = sum((one.ended or math.inf) <= over for one in first)
    control(failed, "requests that failed while the first retry was held").at_least(share)
    expect(in_flight(again), "retries under way together").at_least(share / 2)
    mesh.measure("retries", len(again))
