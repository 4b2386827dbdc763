"""Streams that fail once their client has received a part of the answer."""

from dataclasses import dataclass

import pytest
from msgspec import structs

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    Body,
    Capability,
    Failure,
    MeshUnderTest,
    Retry,
    Workload,
    check,
    control,
    expect,
)

from .listed import listable, listing

KINDS = ("server-stream", "bidi")
MESSAGE = Body(length=1000, seed=13)
FIRST, SECOND = "of the first attempt", "of the second attempt"
"""The message of each attempt."""
PAUSE = 0.2
"""Seconds between the message and the failure: a data plane that has both at once may hold the message back, and retry
without any harm."""


@dataclass(frozen=True)
class Broken:
    """How a stream fails.

    Attributes:
        failure: The failure that the policy lists.
        early: It before any message, which is retried.
        late: It after one message.
    """

    failure: Failure
    early: Answer
    late: Answer


BROKEN = {
    "status": Broken(
        Failure.GRPC_UNAVAILABLE,
        Answer(grpc_status=14, trailers_only=True),
        Answer(grpc_status=14, messages=1, body_delay=PAUSE),
    ),
    "reset": Broken(
        Failure.RESET,
        Answer(behaviour=Behaviour.RESET),
        Answer(behaviour=Behaviour.RESET, messages=1, body_delay=PAUSE),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [pytest.param(name, marks=listable(one.failure)) for name, one in BROKEN.items()])
@check(MUST, "retry.streams", uses={Capability.RETRY_GRPC})
async def test_stream_is_never_replayed_after_first_message(
    mesh: MeshUnderTest, client: Workload, plain_server: Workload, end: str, kind: str
) -> None:
    """A stream that fails after its first message is not replayed, although the policy lists its failure.

    The client has that message already, and would get it again. The same failure before any message is retried.
    """
    broken, call = BROKEN[end], {"kind": kind, "messages": 1, "body": MESSAGE}
    # Where no unfinished request is retried, a bidirectional one cannot show that the policy acts.
    retried = call if mesh.documented.retry.unfinished_retried else call | {"kind": "server-stream"}
    first, second = (structs.replace(broken.late, body=Body(text=text)) for text in (FIRST, SECOND))
    async with mesh.policy(Retry(plain_server, 1, **listing(broken.failure))):
        early = await client.get(plain_server, "grpc", request_id=await plain_server.answers(broken.early), **retried)
        broken_off = await plain_server.answers(first, second, repeat=True)
        late = await client.get(plain_server, "grpc", request_id=broken_off, **call)
    control(await plain_server.attempts(early), "attempts where no message came").attempted(2)
    attempts = await plain_server.attempts(late)
    if not late.body_start.startswith(FIRST):
        control(attempts, "attempts where no message was passed on").attempted(1)
    expect(attempts, "attempts where one message came").attempted(1)
    if end == "status":  # a reset may overtake the message
        expect(late.messages, "messages at the client").equals(1)
    expect(late.served, "whether it ends well").equals(False)
