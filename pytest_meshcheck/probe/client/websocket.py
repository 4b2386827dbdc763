"""WebSocket as a client (RFC 6455): upgrades HTTP/1.1, has messages echoed one by one, and closes in order."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import h11
import msgspec
from wsproto.connection import Connection as Frames, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.utilities import generate_accept_token, generate_nonce

from pytest_meshcheck.probe.client.client import abandon, connection
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.client.http1 import Written, next_event, read_answer
from pytest_meshcheck.probe.client.tcp import receive
from pytest_meshcheck.probe.protocol.body import content
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.headers import Headers, from_bytes
from pytest_meshcheck.probe.protocol.messages import Body, Ending, Request, joined
from pytest_meshcheck.probe.protocol.websocket import ACCEPT, KEY, REQUIRED, SWITCHING, UPGRADE, bytes_of, misfit

NORMAL_CLOSURE = 1000

UNFINISHED = (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING)
"""States in which no close frame has come: what wsproto then calls a closure is its opinion of the peer's frames."""


async def speak(request: Request, recorder: ExchangeRecorder) -> None:
    """Make an exchange; see ``client.speaker``. A refused upgrade is an answer like any other over HTTP."""
    async with connection(request, recorder) as wire:
        socket = await upgraded(wire, request, recorder)
        if socket is None:
            return
        await asyncio.sleep(request.body_delay)
        message = request.body.text or content(request.body)
        for _ in range(request.messages):
            await socket.echo(message, recorder)
        await socket.finish(recorder)


async def upgraded(wire: Connection, request: Request, recorder: ExchangeRecorder) -> "WebSocket | None":
    """Ask for the upgrade; None if it is refused, with the reason in the answer.

    Raises:
        Ended: The answer is not HTTP/1.1, or not to this request.
    """
    if request.raw is not None:
        raise ProbeFault("Request.raw is not for WebSocket: send bytes of your own over HTTP/1.1 or TCP")
    key = generate_nonce()
    headers = (*REQUIRED, (KEY, key.decode()), *request.headers)
    asked = Written(msgspec.structs.replace(request, body=Body(), headers=headers))
    await wire.send(asked.start + asked.rest)
    while not isinstance(event := await next_event(wire, asked.http, recorder), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise Ended(Ending.MALFORMED, f"unexpected {event!r}")
        if event.status_code == SWITCHING:
            break
        recorder.informational += (event.status_code,)
    recorder.status, recorder.headers = event.status_code, from_bytes(event.headers.raw_items())
    recorder.begun = True
    if isinstance(event, h11.Response):
        await read_answer(wire, asked.http, recorder)
        return None
    if mistake := mistake_in(recorder.headers, key):
        raise Ended(Ending.MALFORMED, mistake)
    return WebSocket(wire, Frames(ConnectionType.CLIENT, trailing_data=asked.http.trailing_data[0]))


def mistake_in(headers: Headers, key: bytes) -> str:
    """The defect in the headers of an accepted upgrade; empty if there is none."""
    accept, expected = joined(headers, ACCEPT), generate_accept_token(key).decode()
    return misfit(headers, UPGRADE) or ("" if accept == expected else f"{ACCEPT} is {accept!r}, not {expected!r}")


@dataclass(frozen=True)
class WebSocket:
    """An upgraded connection."""

    wire: Connection
    frames: Frames
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def echo(self, message: str | bytes, recorder: ExchangeRecorder) -> None:
        """Send a message and wait for the one that answers it.

        Raises:
            Ended: The peer closes the connection before, or sends no frames of WebSocket.
            ConnectionResetError: It resets the connection.
        """
        if self.frames.state is not ConnectionState.OPEN:
            raise Ended(Ending.CLOSED, "the peer had closed before")
        said = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
        # Both at once, or a message larger than the buffers on the way would stop both ends.
        writing = asyncio.create_task(self._send(said))
        try:
            await self._hear(recorder)
        finally:
            await abandon(writing)

    async def finish(self, recorder: ExchangeRecorder) -> None:
        """Close in order: say so, and wait for the peer to say it, too."""
        await self.say_goodbye()
        while not isinstance(event := await self._event(recorder), CloseConnection):
            pass
        if self.frames.state in UNFINISHED:
            raise Ended(Ending.MALFORMED, str(event.reason))

    async def say_goodbye(self) -> None:
        """Send a close frame, if the peer still takes one."""
        if self.frames.state is ConnectionState.OPEN:
            await self._send(CloseConnection(code=NORMAL_CLOSURE))

    async def _send(self, event: Event) -> None:
        """Send a frame as a whole: a pong has to wait for the end of a long message."""
        async with self._sending:
            await self.wire.send(self.frames.send(event))

    async def _hear(self, recorder: ExchangeRecorder) -> None:
        while True:
            event = await self._event(recorder)
            if isinstance(event, CloseConnection):
                raise self._closed(event, recorder)
            if isinstance(event, Ping):
                await self._send(event.response())
            elif isinstance(event, Message):
                recorder.body(bytes_of(event))
                if event.message_finished:
                    recorder.messages += 1
                    return

    async def _event(self, recorder: ExchangeRecorder) -> Event:
        while (event := next(self.frames.events(), None)) is None:
            self.frames.receive_data(await receive(self.wire, recorder))
        return event

    def _closed(self, event: CloseConnection, recorder: ExchangeRecorder) -> Ended:
        if self.frames.state in UNFINISHED:
            return Ended(Ending.MALFORMED, str(event.reason))
        return recorder.cut(f"closed with code {event.code} {event.reason or ''}".strip(), reset=False)


@dataclass
class WebSocketStream:
    """A WebSocket that stays open."""

    request: Request
    socket: WebSocket
    block: AsyncExitStack

    async def echo(self, data: bytes, recorder: ExchangeRecorder) -> None:
        """Send a message and wait for its echo."""
        await self.socket.echo(data, recorder)

    async def close(self) -> None:
        """Close it, without waiting for the peer."""
        async with self.block:
            await self.socket.say_goodbye()


async def open_stream(request: Request, recorder: ExchangeRecorder) -> WebSocketStream:
    """Open a WebSocket and have it echo once; see ``streams``."""
    async with AsyncExitStack() as block:
        socket = await upgraded(await block.enter_async_context(connection(request, recorder)), request, recorder)
        if socket is None:
            raise Ended(Ending.CLOSED, f"the upgrade was refused: {recorder.status}")
        await socket.echo(content(request.body) or b"meshcheck", recorder)
        return WebSocketStream(request, socket, block.pop_all())
