"""What reaches a client of an answer that needs no retry, while retries are in force."""

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
    Documented,
    Exchange,
    Failure,
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
        failing: The answer that is retried, which shows that retries are in force.
        request: More fields of the request.
        copies: How many times the answer has the scripted body in it.
    """

    port: str
    failing: Answer
    request: Mapping[str, Any] = field(default_factory=dict)
    copies: int = 1


OF_HTTP, OF_GRPC = Answer(status=503), Answer(grpc_status=14, trailers_only=True)
WAYS = {
    "http": Way("http", OF_HTTP),
    "h2c": Way("http", OF_HTTP, {"protocol": Protocol.H2C}),
    "grpc": Way("grpc", OF_GRPC),
    "grpc-stream": Way("grpc", OF_GRPC, {"kind": "server-stream", "messages": 2}, copies=2),
}


def listable(way: Way) -> pytest.MarkDecorator:
    """Needs that a retry policy can list the failure of a way."""

    def lacking(documented: Documented) -> str:
        known = way.port != "grpc" or Failure.GRPC_UNAVAILABLE in documented.retry.failures
        return "" if known else f"{Failure.GRPC_UNAVAILABLE} cannot be listed for retries"

    return needs(lacking)


@pytest.mark.parametrize("case", [pytest.param(name, marks=listable(way)) for name, way in WAYS.items()])
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

    listed = {"on": {Failure.GRPC_UNAVAILABLE}} if way.port == "grpc" else {"statuses": {503}}
    async with mesh.policy(Retry(server, 1, **listed)):
        retried = await ask(way.failing, repeat=False)
        control(await server.attempts(retried), "retries in force").attempted(2)
        seen = dict(zip(answers, await asyncio.gather(*map(ask, answers.values())), strict=True))
    for what, answer in answers.items():
        sent = way.copies * seeded_bytes(answer.body.seed, answer.body.length)
        expect(seen[what], what).answered()
        expect(seen[what], what).body(len(sent), hashlib.sha256(sent).hexdigest())
        (attempt,) = expect(await server.attempts(seen[what]), what).attempted(1)
        if attempt.protocol is not Protocol.HTTP1:
            expect(set(answer.trailers) - set(seen[what].trailers), f"{what}: trailers that are lost").equals(set())
