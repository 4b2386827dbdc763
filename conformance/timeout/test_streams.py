"""Streams and requests that take long, and that nobody limits."""

import asyncio
from collections.abc import Awaitable, Mapping

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Documented,
    Ending,
    Exchange,
    MeshUnderTest,
    Port,
    Protocol,
    Workload,
    WorkloadSpec,
    check,
    expect,
    needs,
    slow,
)

from .limits import limit_acts

LENGTHS = {
    # id: seconds
    "a-second": 1.0,
    "eleven-minutes": 660.0,
}
IN_THE_SLOW_LANE = frozenset({"eleven-minutes"})
BEATS = 20
"""Messages on an active stream in that time."""

SERVER = WorkloadSpec(
    "blue",
    "lasting",
    ports=(
        Port("http", Protocol.HTTP1),
        Port("grpc", Protocol.GRPC),
        Port("tcp", Protocol.TCP),
        Port("websocket", Protocol.WEBSOCKET),
    ),
    calls=False,
)
STREAMS = ("grpc", "tcp", "websocket")
"""The ports with streams."""
WAITING = "HTTP/1.1, waiting"
"""The request that is answered at the end."""


def unlimited_for(length: str) -> pytest.MarkDecorator:
    """Needs that the mesh does not document to cut what is idle for so long."""

    def lacking(documented: Documented) -> str:
        limit = documented.timeout.stream_idle
        if limit is None or limit > LENGTHS[length]:
            return ""
        return f"idle streams are cut after {limit:g} s ({documented.timeout.source('stream_idle')})"

    return needs(lacking)


async def echoes(client: Workload, server: Workload, port: str, seconds: float, times: int) -> Exchange:
    """The last of so many echoes on one stream in that time, or the first that fails."""
    async with client.stream(server, port) as stream:
        for _ in range(times):
            seen = await stream.echo(idle=seconds / times)
            if seen.ending is not Ending.ANSWERED:
                break
        return seen


async def lasting(mesh: MeshUnderTest, length: str) -> Mapping[str, Exchange]:
    """What is left at the end of each stream, idle and active, and of a request that is answered then."""
    seconds, client = LENGTHS[length], await mesh.workload("client")
    async with mesh.deploy(SERVER) as deployed:
        server = deployed.service
        late = await server.answers(Answer(delay=seconds))
        running = {WAITING: client.get(server, request_id=late, patience=seconds + client.patience)}
        for port in STREAMS:
            running |= {f"{port}, idle": echoes(client, server, port, seconds, 1)}
            running |= {f"{port}, active": echoes(client, server, port, seconds, BEATS)}
        return dict(zip(running, await asyncio.gather(*running.values()), strict=True))


async def early(mesh: MeshUnderTest, length: str) -> Mapping[str, Exchange] | None:
    """The short form, begun early; the long one waits until no other check changes the mesh."""
    return None if length in IN_THE_SLOW_LANE else await lasting(mesh, length)


@pytest.mark.parametrize(
    "length",
    [pytest.param(one, marks=[unlimited_for(one), *([slow] if one in IN_THE_SLOW_LANE else [])]) for one in LENGTHS],
)
@check(MUST, "timeout.streams", uses={Capability.TIMEOUT}, head_start=early)
async def test_stream_without_limit_lives(
    mesh: MeshUnderTest,
    client: Workload,
    server: Workload,
    head_start: Awaitable[Mapping[str, Exchange] | None],
    length: str,
) -> None:
    """Without a limit a stream lives on, whether messages go over it or not, and a request waits for its answer.

    Streams of gRPC, TCP and WebSocket, each with a message now and then, and each with none at all.
    """
    lasted = await head_start or await lasting(mesh, length)
    await limit_acts(mesh, client, server)
    for what, seen in lasted.items():
        lived = expect(seen, f"{what}, for {LENGTHS[length]:g} s")
        lived.answered() if what == WAITING else lived.echoed()
