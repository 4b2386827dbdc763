"""TCP as a client: waits for the banner where the server speaks first, says its id, and waits for the echo."""

import asyncio
import hashlib
from contextlib import AsyncExitStack
from dataclasses import dataclass

from pytest_meshcheck.probe.client.client import abandon, connection
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.protocol.body import content
from pytest_meshcheck.probe.protocol.messages import TCP_BANNER, Ending, Request
from pytest_meshcheck.probe.protocol.tcp_lines import ID_LINE, id_line

SMALLEST = b"meshcheck"
"""Sent where no body is asked for: some data planes neither serve nor refuse a client that says fewer than 5 bytes."""


async def speak(request: Request, recorder: ExchangeRecorder) -> None:
    """Make an exchange; see ``client.speaker``."""
    async with connection(request, recorder) as wire:
        await greet(wire, request, recorder)


@dataclass
class TcpStream:
    """A connection that stays open."""

    request: Request
    wire: Connection
    block: AsyncExitStack

    async def echo(self, data: bytes, recorder: ExchangeRecorder) -> None:
        """Send bytes and wait for their echo."""
        await echo(self.wire, data, data, recorder, banner=False)

    async def close(self) -> None:
        """Close it."""
        await self.block.aclose()


async def open_stream(request: Request, recorder: ExchangeRecorder) -> TcpStream:
    """Open a connection and have it echo once; see ``streams``."""
    async with AsyncExitStack() as block:
        wire = await block.enter_async_context(connection(request, recorder))
        await greet(wire, request, recorder)
        return TcpStream(request, wire, block.pop_all())


async def greet(wire: Connection, request: Request, recorder: ExchangeRecorder) -> None:
    """Say the id and the body on a new connection, and wait for the echo."""
    body = content(request.body) or SMALLEST
    said = id_line(request.request_id) + body if request.raw is None else request.raw
    if request.server_first and not request.at_once:
        await expect_banner(wire, recorder)
    await echo(wire, said, expected_echo(said), recorder, banner=request.server_first and request.at_once)


async def echo(wire: Connection, said: bytes, expected: bytes, recorder: ExchangeRecorder, *, banner: bool) -> None:
    """Send bytes and read their echo, after a banner or not, while they are still being sent."""
    # Both at once, or a body larger than the buffers on the way would stop both ends.
    writing = asyncio.create_task(wire.send(said))
    try:
        if banner:
            await expect_banner(wire, recorder)
        while recorder.body_length < len(expected):
            recorder.body(await receive(wire, recorder))
        if recorder.body_sha256 != hashlib.sha256(expected).hexdigest():
            raise Ended(Ending.MALFORMED, f"{recorder.body_length} bytes came back that were not said")
    finally:
        await abandon(writing)


async def expect_banner(wire: Connection, recorder: ExchangeRecorder) -> None:
    """Read the server's banner; what comes with it is of the echo."""
    read = b""
    while len(read) < len(TCP_BANNER):
        read += await receive(wire, recorder)
        if not read.startswith(TCP_BANNER[: len(read)]):
            raise Ended(Ending.MALFORMED, f"the banner is {read[:80]!r}, not {TCP_BANNER!r}")
    if echoed := read.removeprefix(TCP_BANNER):
        recorder.body(echoed)


async def receive(wire: Connection, recorder: ExchangeRecorder) -> bytes:
    """The next bytes; there must be some."""
    data = await wire.receive()
    if not data:
        raise recorder.cut("the peer closed the connection", reset=False)
    return data


def expected_echo(said: bytes) -> bytes:
    """What of these bytes comes back: all that follows an id line."""
    return said.partition(b"\n")[2] if said.startswith(ID_LINE) else said
