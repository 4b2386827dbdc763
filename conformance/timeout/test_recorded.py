"""What a limit covers beyond the wait for an answer: recorded, as specifications leave it open."""

import asyncio
import hashlib

import pytest

from pytest_meshcheck.suite import (
    MAY,
    Answer,
    Body,
    Capability,
    Ending,
    MeshUnderTest,
    Protocol,
    Timeout,
    Workload,
    check,
    control,
    expect,
    seeded_bytes,
)

LIMIT = 0.2
"""Seconds."""
PAUSE = 0.4
"""Seconds in the middle of a body, which are longer than the limit."""
BODY = Body(length=64 * 1024, seed=16)
WHOLE = BODY.length, hashlib.sha256(seeded_bytes(BODY.seed, BODY.length)).hexdigest()
PROTOCOLS = {"http": {}, "h2c": {"protocol": Protocol.H2C}}


async def too_late(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """Control: an answer that begins too late is cut."""
    late = await client.get(server, request_id=await server.answers(Answer(delay=LIMIT + PAUSE)))
    control(late, "an answer that begins too late").answered(mesh.documented.timeout.status)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@check(MAY, "timeout.body", uses={Capability.TIMEOUT})
async def test_response_body_after_headers(
    mesh: MeshUnderTest, client: Workload, server: Workload, protocol: str
) -> None:
    """Whether the limit cuts an answer that begins within it and ends after it.

    Whether it is cut is recorded. Only a cut that the client cannot see is a violation: a part must never pass for the
    whole.
    """
    async with mesh.policy(Timeout(server, LIMIT)):
        slow = await server.answers(Answer(body=BODY, body_delay=PAUSE))
        answer, _ = await asyncio.gather(
            client.get(server, request_id=slow, **PROTOCOLS[protocol]), too_late(mesh, client, server)
        )
    cut = answer.ending is not Ending.ANSWERED
    mesh.measure("an answer that ends after its limit is", f"cut after {answer.seconds:.3f} s" if cut else "passed on")
    control(answer.status, "the status that came within the limit").equals(200)
    if not cut:
        expect(answer, "an answer that was passed on").body(*WHOLE)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@check(MAY, "timeout.upload", uses={Capability.TIMEOUT})
async def test_slow_upload(mesh: MeshUnderTest, client: Workload, server: Workload, protocol: str) -> None:
    """When the clock of a limit starts: with the first byte of a request, or once the whole request is there.

    Whether an upload that takes longer than the limit is cut is recorded. One that is cut has to be answered in the
    documented way, and one that is not has to arrive whole.
    """
    async with mesh.policy(Timeout(server, LIMIT)):
        answer, _ = await asyncio.gather(
            client.post(server, BODY, body_delay=PAUSE, **PROTOCOLS[protocol]), too_late(mesh, client, server)
        )
    cut = answer.status != 200
    mesh.measure("the clock starts with", "the first byte of the request" if cut else "the end of the request")
    expect(answer).answered({200, mesh.documented.timeout.status})
    if not cut:
        expect(await server.attempts(answer), "an upload that was served").bodies(*WHOLE)
