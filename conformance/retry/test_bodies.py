"""Bodies of requests whose first attempt fails before, inside or after the body."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    Body,
    Capability,
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

from .listed import listable, listing, proven_after

PART = 1000
"""Bytes of each of the two parts of a body."""


@dataclass(frozen=True)
class Upload:
    """A way to send a body of two parts without its length.

    Attributes:
        content: The body that has to arrive.
        middle: The pause between the parts, as ``pause_after`` counts.
        request: The fields of the request.
    """

    content: bytes
    middle: int
    request: Mapping[str, Any]


PLAIN = {"method": "POST", "chunked": True, "body": Body(length=2 * PART, seed=7)}
MESSAGES = {"kind": "client-stream", "messages": 2, "body": Body(length=PART, seed=7)}
UPLOADS = {
    "http": Upload(seeded_bytes(7, 2 * PART), PART, PLAIN),
    "h2c": Upload(seeded_bytes(7, 2 * PART), PART, PLAIN | {"protocol": Protocol.H2C}),
    "grpc": Upload(2 * seeded_bytes(7, PART), 1, MESSAGES),
}

FIRST = {
    # failure of the first attempt: the server's answer
    Failure.STATUS: Answer(status=503),
    Failure.RESET: Answer(behaviour=Behaviour.RESET),
    Failure.REFUSED_STREAM: Answer(behaviour=Behaviour.REFUSE_STREAM),
    Failure.GRPC_UNAVAILABLE: Answer(grpc_status=14, trailers_only=True),
}

CASES = {
    # id: (upload, failure of the first attempt, port)
    "http-status": ("http", Failure.STATUS, "http"),
    "http-reset": ("http", Failure.RESET, "http"),
    "h2c-status": ("h2c", Failure.STATUS, "http"),
    "h2c-reset": ("h2c", Failure.RESET, "grpc"),
    "h2c-refused-stream": ("h2c", Failure.REFUSED_STREAM, "grpc"),
    "grpc-status": ("grpc", Failure.GRPC_UNAVAILABLE, "grpc"),
    "grpc-reset": ("grpc", Failure.RESET, "grpc"),
    "grpc-refused-stream": ("grpc", Failure.REFUSED_STREAM, "grpc"),
}

POINTS = {
    # id: (parts of the body before the first attempt fails, whether the rest comes after that)
    "before": (0, True),
    "inside": (1, True),
    "after": (2, False),
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=[proven_after(failure), listable(failure)]) for name, (_, failure, _) in CASES.items()],
)
@pytest.mark.parametrize("point", POINTS)
@check(MUST, "retry.body-once", proves={Capability.RETRY, Capability.RETRY_GRPC})
async def test_body_late_and_refused_early(
    mesh: MeshUnderTest, client: Workload, plain_server: Workload, point: str, case: str
) -> None:
    """An attempt brings the body exactly once, also where the first attempt fails before the body has come.

    The client sends the head of a request and waits. The first attempt fails at the head, after the first part of the
    body, or after all of it. Only when the next attempt is there, or the client has its answer, the rest of the body is
    sent. It has no length, so that a part that is sent twice is not found by counting. The failing server is outside of
    the mesh, so that nothing rewrites its failure.
    """
    way, failure, port = CASES[case]
    upload, (parts, is_early) = UPLOADS[way], POINTS[point]
    body = len(upload.content), hashlib.sha256(upload.content).hexdigest()
    pause = {"pause_after": parts * upload.middle} if is_early else {}
    first = msgspec.structs.replace(FIRST[failure], after=parts * PART if is_early else None)
    control(await plain_server.attempts(await client.get(plain_server, port, **upload.request))).bodies(*body)
    async with mesh.policy(Retry(plain_server, 1, **listing(failure))):
        request_id = await plain_server.answers(first)
        answer = await client.in_two_parts(
            plain_server,
            plain_server.wait_for_attempts(request_id, 2),
            port,
            request_id=request_id,
            **upload.request,
            **pause,
        )
    attempts = await plain_server.attempts(request_id)
    control(len(attempts), "attempts").at_least(1)
    expect(attempts[1:]).bodies(*body)
    if mesh.documented.retry.unfinished_retried or not is_early:
        expect(attempts).attempted(2)
        expect(answer).answered()
    else:
        expect(len(attempts), "attempts").at_most(2)
