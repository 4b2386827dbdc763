"""What a policy leaves open: which methods it covers, the pauses between attempts, and what servers learn of them."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from pytest_meshcheck.suite import (
    MAY,
    MUST,
    Answer,
    Attempt,
    Body,
    Capability,
    Documented,
    MeshUnderTest,
    Protocol,
    Retry,
    Workload,
    check,
    control,
    expect,
    needs,
)

UNSAFE = ("POST", "PATCH")
RETRIES = 4
REQUESTS = 20
"""Requests from whose attempts the pauses are taken."""
SECONDS = 0.05
"""Seconds that each attempt takes, so that a retry that begins too early overlaps it."""
LATER = 1
"""Seconds that an application asks for with Retry-After."""


@pytest.mark.parametrize("method", UNSAFE)
@check(MUST, "retry.post", uses={Capability.RETRY})
async def test_post_with_policy_equals_documentation(
    mesh: MeshUnderTest, client: Workload, server: Workload, method: str
) -> None:
    """Whether a retry policy covers methods that are not safe is what the mesh documents."""
    documented = mesh.documented.retry.unsafe_retried
    async with mesh.policy(Retry(server, 1, statuses={503})):
        safe = await client.get(server, request_id=await server.answers(503))
        control(await server.attempts(safe), "attempts of a GET").attempted(2)
        payment = Body(text="pay once\n")
        paid = await client.get(server, method=method, body=payment, request_id=await server.answers(503))
    attempts = await server.attempts(paid)
    mesh.measure("payments made", len(attempts))
    expect(attempts, method).attempted(2 if documented else 1)


def pauses(attempts: Sequence[Attempt]) -> list[float]:
    """The seconds from the end of each attempt to the arrival of the next."""
    return [later.arrived - (one.ended or one.arrived) for one, later in pairwise(attempts)]


def effect(waited: Sequence[float]) -> str:
    """What Retry-After comes to, by the pauses between the attempts of a request whose first answer has it."""
    if not waited:
        return f"not retried: asked {LATER} s"
    return f"{'honoured' if waited[0] >= LATER else 'ignored'}: asked {LATER} s, waited {waited[0]:.3f} s"


@check(MAY, "retry.backoff", uses={Capability.RETRY})
async def test_backoff(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """How long a data plane waits before each retry, and whether it waits as long as ``Retry-After`` asks for.

    It may also pass an answer with that header on. The pauses before each retry are recorded. Only an attempt that
    begins before the previous one has ended is a violation. Over HTTP/2, where no attempt waits for a connection of its
    own.
    """
    failed = Answer(status=503, delay=SECONDS)
    ids = [await server.answers(failed, repeat=True) for _ in range(REQUESTS)]
    asked = await server.answers(Answer(status=503, headers=(("retry-after", str(LATER)),)))
    async with mesh.policy(Retry(server, RETRIES, statuses={503})):
        await asyncio.gather(*(client.get(server, request_id=one, protocol=Protocol.H2C) for one in (*ids, asked)))
    attempts = [await server.attempts(one) for one in ids]
    control(min(map(len, attempts)), "attempts of a request that keeps failing").at_least(2)
    for number, seconds in enumerate(zip(*map(pauses, attempts), strict=False), start=1):
        mesh.measure_distribution(f"pause before retry {number}", seconds)
    after = await server.attempts(asked)
    control(len(after), "attempts of the request that is to come back later").at_least(1)
    mesh.measure("Retry-After", effect(pauses(after)))
    early = sum(pause < 0 for one in attempts for pause in pauses(one))
    expect(early, "attempts that began before the one before had ended").equals(0)


def numbered(documented: Documented) -> str:
    """Why the number of an attempt is not passed to the application; empty where it is, as documented."""
    return "" if documented.retry.attempt_header else "no header with the number of the attempt is documented"


@needs(numbered)
@check(MAY, "retry.attempt-number", uses={Capability.RETRY})
async def test_attempt_number_reaches_the_server(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """The documented header contains the number of the attempt, from 1."""
    async with mesh.policy(Retry(server, 2, statuses={503})):
        answer = await client.get(server, request_id=await server.answers(503, 503))
    attempts = control(await server.attempts(answer)).attempted(3)
    numbers = [attempt.header(mesh.documented.retry.attempt_header) for attempt in attempts]
    expect(numbers, f"the header {mesh.documented.retry.attempt_header}").equals(["1", "2", "3"])
