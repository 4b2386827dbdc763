"""Requests that are too large for a retry, or answered before they are whole."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    Documented,
    Ending,
    MeshUnderTest,
    Protocol,
    Retry,
    Workload,
    check,
    control,
    expect,
    needs,
    seeded_bytes,
)

ABOVE = {
    # id: the size of a body, in bytes, by the limit up to which requests are retried
    "just-above": lambda limit: limit + 1,
    "four-times": lambda limit: 4 * limit,
}
OVERLOADED = Answer(status=503, body=Body(text="the application is overloaded\n"))

PART = 1000
"""Bytes of the first half of an upload."""
SLOW = Answer(body=Body(length=64 * 1024, seed=14), body_delay=0.2)
LATER = 3
"""Requests that may meet a connection with half of the upload outstanding."""
EARLY = {
    # id: how it is uploaded
    "http": {},
    "h2c": {"protocol": Protocol.H2C},
}


def ways(documented: Documented) -> Mapping[str, tuple[int, Mapping[str, Any]]]:
    """The ways in which a body can be sent for which a limit is documented: the limit in bytes, and the request."""
    http1, http2 = documented.retry.body_limit, documented.retry.http2_body_limit
    known = {
        "with its length": (http1, {}),
        "in chunks": (http1, {"chunked": True}),
        "over h2c": (http2, {"protocol": Protocol.H2C}),
    }
    return {way: (limit, how) for way, (limit, how) in known.items() if limit is not None}


def limited(documented: Documented) -> str:
    """Why requests of all sizes are retried; empty where there is a limit."""
    return "" if ways(documented) else "no size is documented above which requests are not retried"


@needs(limited)
@pytest.mark.parametrize("size", ABOVE)
@check(MUST, "retry.large", uses={Capability.RETRY})
async def test_large_body_is_forwarded_once_and_whole(
    mesh: MeshUnderTest, client: Workload, server: Workload, size: str
) -> None:
    """A body above the documented limit for retries arrives once and whole, and the application's answer comes back.

    The answer is one that is retried after smaller requests. The data plane can neither keep such a body nor refuse it.
    """
    said = len(OVERLOADED.body.text), hashlib.sha256(OVERLOADED.body.text.encode()).hexdigest()
    async with mesh.policy(Retry(server, 1, statuses={503})):
        small = await client.post(server, Body(length=1), request_id=await server.answers(503))
        control(await server.attempts(small), "attempts of a small request").attempted(2)
        for way, (limit, how) in ways(mesh.documented).items():
            length = ABOVE[size](limit)
            body, digest = Body(length=length, seed=15), hashlib.sha256(seeded_bytes(15, length)).hexdigest()
            answer = await client.post(server, body, request_id=await server.answers(OVERLOADED, repeat=True), **how)
            attempts = await server.attempts(answer)
            expect(attempts, way).attempted(1)
            expect(attempts, way).bodies(length, digest)
            expect(answer, way).answered(503)
            expect(answer, way).body(*said)


@pytest.mark.parametrize("way", EARLY)
@check(MUST, "retry.early-answer", uses={Capability.RETRY})
async def test_early_answer_while_uploading(mesh: MeshUnderTest, client: Workload, server: Workload, way: str) -> None:
    """An answer that comes before the upload is whole reaches the client, which then need not send the rest.

    The client stops after half of its request, and goes on only after an answer. Over HTTP/2 another answer is on its
    way on the same connection at that time, and arrives whole. Later requests are served.
    """
    too_large = await server.answers(Answer(status=413, after=0), repeat=True)
    upload = {"method": "POST", "chunked": True, "body": Body(length=2 * PART, seed=7), "pause_after": PART}
    slow = len(seeded_bytes(14, SLOW.body.length)), hashlib.sha256(seeded_bytes(14, SLOW.body.length)).hexdigest()
    async with mesh.policy(Retry(server, 1, statuses={503})), client.kept_connection() as connection:
        retried = await client.get(server, request_id=await server.answers(503))
        control(await server.attempts(retried), "retries in force").attempted(2)
        shared = {"connection": connection} if way == "h2c" else {}
        slow_id = await server.answers(SLOW)
        beside = asyncio.ensure_future(client.get(server, request_id=slow_id, **EARLY[way], **shared))
        await server.wait_for_attempts(slow_id)
        early = await client.get(server, request_id=too_large, **EARLY[way], **shared, **upload)
        whole = await beside
        later = [await client.get(server, **EARLY[way], **shared) for _ in range(LATER)]
    expect(early).answered(413)
    expect(len(await server.attempts(early)), "attempts").at_most(1)
    control(whole.ended - early.ended, "seconds for which the other answer went on").at_least(0)
    gave_up = None if whole.ending is Ending.ANSWERED else mesh.time(client.patience)
    expect(whole, "another answer at the same time", rests_on=gave_up).body(*slow)
    for number, exchange in enumerate(later, 1):
        expect(exchange, f"request {number} after it").answered()
