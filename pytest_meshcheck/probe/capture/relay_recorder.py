"""The wire recorder: a TCP relay in the path that keeps what goes through it."""

import asyncio
import socket
from dataclasses import dataclass, field

from pytest_meshcheck.probe.capture.limits import EXCERPT, LIMIT
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import CaptureResult
from pytest_meshcheck.probe.protocol.sockets import ABORTIVE

CHUNK = 1 << 16
ROOM_AGAIN = 0.1
"""Seconds until a connection is accepted again after one could not be."""


@dataclass
class Recording:
    """One connection that went through: each direction whole, and the beginning of both as it happened."""

    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)
    start: bytearray = field(default_factory=bytearray)

    def keep(self, direction: bytearray, data: bytes) -> None:
        """Keep a piece of one direction."""
        direction += data
        self.start += data[: EXCERPT - len(self.start)]


class Recorder:
    """One relay."""

    def __init__(self, listener: socket.socket, forward: tuple[str, int]) -> None:
        self._listener = listener
        self._forward = forward
        self._loop = asyncio.get_running_loop()
        self._recordings: list[Recording] = []
        self._recorded = 0
        self._relays: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Which needles went through, in whatever pieces; ProbeFault where more went through than was kept."""
        if self._recorded > LIMIT:
            raise ProbeFault(
                f"{self._recorded} bytes went through but only {LIMIT} are kept: the search would be incomplete"
            )
        directions = [side for seen in self._recordings for side in (seen.to_server, seen.to_client)]
        return CaptureResult(
            connections=len(self._recordings),
            bytes_to_server=sum(len(seen.to_server) for seen in self._recordings),
            bytes_to_client=sum(len(seen.to_client) for seen in self._recordings),
            found=tuple(needle for needle in needles if any(needle.encode() in side for side in directions)),
            excerpt=bytes(self._recordings[-1].start) if self._recordings else b"",
        )

    def stop(self) -> None:
        """Stop listening and drop all connections."""
        self._accepting.cancel()
        for relay in self._relays:
            relay.cancel()
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            try:
                client, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                # As asyncio does for its own servers: connections wait until there is room again
                self._loop.call_exception_handler({"message": "no connection can be accepted", "exception": error})
                await asyncio.sleep(ROOM_AGAIN)
                continue
            client.setblocking(False)
            recording = Recording()
            self._recordings.append(recording)
            relay = asyncio.create_task(self._relay(client, recording))
            self._relays.add(relay)
            relay.add_done_callback(self._relays.discard)

    async def _relay(self, client: socket.socket, recording: Recording) -> None:
        family = socket.AF_INET6 if ":" in self._forward[0] else socket.AF_INET
        with client, socket.socket(family) as server:
            server.setblocking(False)
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await self._loop.sock_connect(server, self._forward)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pump(client, server, recording, recording.to_server))
                    both.create_task(self._pump(server, client, recording, recording.to_client))
            except* OSError:
                # A reset on one side, or no listener to forward to, is passed on as a reset.
                for side in (client, server):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)

    async def _pump(self, source: socket.socket, sink: socket.socket, recording: Recording, side: bytearray) -> None:
        while data := await self._loop.sock_recv(source, CHUNK):
            self._recorded += len(data)
            if self._recorded <= LIMIT:
                recording.keep(side, data)
            await self._loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)
