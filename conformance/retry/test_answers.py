"""Answers that need no retry, while retries are in force."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    Exchange,
    Failure,
    MeshUnderTest,
    Protocol,
    Retry,
    Workload,
    check,
    control,
    expect,
    seeded_bytes,
)

from .listed import listable, listing

PAUSE = 0.05
"""Seconds between the first and the second half of an answer."""
HALVES = Body(length=64 * 1024, seed=11)
LARGE = 10 * 1024 * 1024
"""Bytes of a large answer."""
TRAILERS = (("x-meshcheck-trailer", "the last words"),)


@dataclass(frozen=True)
class Way:
    """A way to ask for an answer.

    Attributes:
        port: The port that is asked.
        failure: The failure that the policy lists.
        request: More fields of the request.
        copies: How many times the answer contains the scripted body.
    """

    port: str
    failure: Failure
    request: Mapping[str, Any] = field(default_factory=dict)
    copies: int = 1


FAILING = {
    # failure: the answer that is retried, which shows that retries are in force
    Failure.STATUS: Answer(status=503),
    Failure.GRPC_UNAVAILABLE: Answer(grpc_status=14, trailers_only=True),
}
WAYS = {
    "http": Way("http", Failure.STATUS),
    "h2c": Way("http", Failure.STATUS, {"protocol": Protocol.H2C}),
    "grpc": Way("grpc", Failure.GRPC_UNAVAILABLE),
    "grpc-stream": Way("grpc", Failure.GRPC_UNAVAILABLE, {"kind": "server-stream", "messages": 2}, copies=2),
}


@pytest.mark.parametrize("case", [pytest.param(name, marks=listable(way.failure)) for name, way in WAYS.items()])
@check(MUST, "retry.answer", uses={Capability.RETRY})
async def test_response_body_is_intact_when_armed(
    mesh: MeshUnderTest, client: Workload, server: Workload, case: str
) -> None:
    """While retries are in force, an answer that needs none arrives whole: every byte, and the trailers.

    Answers that pause after their first half, that end with trailers, and of 10 MiB. A data plane that looks into an
    answer to see whether to retry has to pass on what it has seen. It may drop trailers where the application is
    asked over HTTP/1.1 (RFC 9110, 6.5.1).
    """
    way = WAYS[case]
    answers = {
        "in two halves": Answer(body=HALVES, body_delay=PAUSE),
        "with trailers": Answer(body=HALVES, trailers=TRAILERS),
        "10 MiB": Answer(body=Body(length=LARGE // way.copies, seed=12)),
    }

    async def ask(answer: Answer, *, repeat: bool = True) -> Exchange:
        request_id = await server.answers(answer, repeat=repeat)
        return await client.get(server, way.port, request_id=request_id, **way.request)

    async with mesh.policy(Retry(server, 1, **listing(way.failure))):
        retried = await ask(FAILING[way.failure], repeat=False)
        control(await server.attempts(retried), "retries in force").attempted(2)
        seen = dict(zip(answers, await asyncio.gather(*map(ask, answers.values())), strict=True))
    for what, answer in answers.items():
        sent = way.copies * seeded_bytes(answer.body.seed, answer.body.length)
        expect(seen[what], what).answered()
        expect(seen[what], what).body(len(sent), hashlib.sha256(sent).hexdigest())
        (attempt,) = expect(await server.attempts(seen[what]), what).attempted(1)
        if attempt.protocol is not Protocol.HTTP1:
            expect(set(answer.trailers) - set(seen[what].trailers), f"{what}: trailers that are lost").equals(set())
