"""The wire recorder: a TCP relay in the path that keeps what goes through it."""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Protocol

from pytest_meshcheck.probe import messages as m
from pytest_meshcheck.probe.fault import ProbeFault
from pytest_meshcheck.probe.inbound import ABORTIVE
from pytest_meshcheck.probe.messages import Sight

LIMIT = 64 << 20
"""Octets that a recorder keeps. Beyond it nothing can be said about what was not there."""

EXCERPT = 4096
CHUNK = 1 << 16
BACKLOG = 1024
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
        self._octets = 0
        self._relays: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def look_for(self, needles: tuple[str, ...]) -> Sight:
        """Which needles went through, in whatever pieces; ProbeFault where more went through than was kept."""
        if self._octets > LIMIT:
            raise ProbeFault(
                f"{self._octets} octets went through, of which {LIMIT} are kept: the search would not be whole"
            )
        directions = [side for seen in self._recordings for side in (seen.to_server, seen.to_client)]
        return Sight(
            connections=len(self._recordings),
            octets_to_server=sum(len(seen.to_server) for seen in self._recordings),
            octets_to_client=sum(len(seen.to_client) for seen in self._recordings),
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
                # A reset on one side, or nobody to forward to, is passed on as a reset.
                for side in (client, server):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)

    async def _pump(self, source: socket.socket, sink: socket.socket, recording: Recording, side: bytearray) -> None:
        while data := await self._loop.sock_recv(source, CHUNK):
            self._octets += len(data)
            if self._octets <= LIMIT:
                recording.keep(side, data)
            await self._loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)


class Witness(Protocol):
    """What records: a relay, or a capture."""

    def look_for(self, needles: tuple[str, ...]) -> Sight:
        """Which needles were seen so far."""

    def stop(self) -> None:
        """End it."""


@dataclass
class Recorders:
    """The recorders, by their names."""

    _recording: dict[str, Witness] = field(default_factory=dict)

    async def record(self, name: str, listen: tuple[str, int], forward: tuple[str, int]) -> None:
        """Begin to relay and record; ProbeFault where that is not possible."""
        self._refuse_second(name)
        try:
            listener = socket.create_server(
                listen, family=socket.AF_INET6 if ":" in listen[0] else socket.AF_INET, backlog=BACKLOG
            )
        except OSError as error:
            raise ProbeFault(f"recorder {name!r} cannot listen on {listen[0]}:{listen[1]}: {error}") from error
        listener.setblocking(False)
        self._recording[name] = Recorder(listener, forward)

    async def capture(self, command: m.Capture) -> None:
        """Begin to capture packets; ProbeFault where that is not possible."""
        # Only privileged probes on nodes do this; and what captures builds on what is here.
        from pytest_meshcheck.probe.capture import Capture  # noqa: PLC0415

        self._refuse_second(command.name)
        capture = self._recording[command.name] = Capture(command.client, command.servers)
        try:
            await capture.prove(command.canaries)
        except BaseException:
            self.stop(command.name)
            raise

    def _refuse_second(self, name: str) -> None:
        if name in self._recording:
            raise ProbeFault(f"recorder {name!r} is at work already")

    def look_for(self, name: str, needles: tuple[str, ...]) -> Sight:
        """Search what a recorder saw so far."""
        return self._named(name).look_for(needles)

    def stop(self, name: str) -> None:
        """Close a recorder with its connections."""
        self._named(name).stop()
        del self._recording[name]

    def _named(self, name: str) -> Witness:
        try:
            return self._recording[name]
        except KeyError:
            raise ProbeFault(f"no recorder {name!r}; at work are {', '.join(self._recording) or 'none'}") from None
