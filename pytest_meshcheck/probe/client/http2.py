"""HTTP/2 as a client, with prior knowledge (or what ALPN chose): streams on a connection of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import h2.errors
import h2.events
import h2.exceptions

from pytest_meshcheck.probe.client.client import abandon, connection
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.client.http2_frames import FromServer
from pytest_meshcheck.probe.http2.connection import client_side, error_name, ignore, room
from pytest_meshcheck.probe.protocol.body import before_pause, content, parted
from pytest_meshcheck.probe.protocol.headers import from_bytes, regular, to_bytes
from pytest_meshcheck.probe.protocol.messages import REQUEST_ID_HEADER, Request, joined

FIRST = 1
"""The number of a client's first stream."""


async def speak(request: Request, recorder: ExchangeRecorder) -> None:
    """Make an exchange; see ``client.speaker``."""
    async with connection(request, recorder) as wire, begun(wire) as http:
        await http.exchange(request, recorder)


@dataclass(eq=False)
class RequestStream:
    """One request and its answer.

    Attributes:
        number: Its number on the connection.
        sent: Whether the whole request was sent.
        window: Set when more of the request may be sent.
        answered: Done when the answer is whole, or has failed.
    """

    number: int
    request: Request
    recorder: ExchangeRecorder
    sent: bool = False
    window: asyncio.Event = field(default_factory=asyncio.Event)
    answered: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: Exception) -> None:
        """It has no whole answer, and will not get one."""
        if not self.answered.done():
            self.answered.set_exception(error)

    def informational(self, event: h2.events.InformationalResponseReceived) -> None:
        """A 1xx status came."""
        self.recorder.informational += (int(joined(from_bytes(event.headers), ":status") or 0),)

    def head(self, event: h2.events.ResponseReceived) -> None:
        """The head of the answer came."""
        headers = from_bytes(event.headers)
        self.recorder.begun = True
        self.recorder.status = int(joined(headers, ":status") or 0)
        self.recorder.headers = regular(headers)
        self._grpc(headers)

    def data(self, event: h2.events.DataReceived) -> None:
        """A piece of the answer's body came."""
        self.recorder.body(event.data)

    def trailers(self, event: h2.events.TrailersReceived) -> None:
        """The trailers came."""
        self.recorder.trailers = from_bytes(event.headers)
        self._grpc(self.recorder.trailers)

    def end(self, _event: h2.events.StreamEnded) -> None:
        """The answer is whole."""
        if not self.answered.done():
            self.answered.set_result(None)

    def reset(self, event: h2.events.StreamReset) -> None:
        """The peer has reset it."""
        self.fail(self.recorder.cut(f"RST_STREAM {error_name(event.error_code)}", reset=True))

    def _grpc(self, headers: tuple[tuple[str, str], ...]) -> None:
        status = joined(headers, "grpc-status")
        if status is not None and status.isdigit():
            self.recorder.grpc_status = int(status)
            self.recorder.grpc_message = joined(headers, "grpc-message") or ""


OF_STREAM: dict[type, Callable[[RequestStream, Any], None]] = {
    h2.events.InformationalResponseReceived: RequestStream.informational,
    h2.events.ResponseReceived: RequestStream.head,
    h2.events.DataReceived: RequestStream.data,
    h2.events.TrailersReceived: RequestStream.trailers,
    h2.events.StreamEnded: RequestStream.end,
    h2.events.StreamReset: RequestStream.reset,
}


class Http2Connection:
    """The client's end of a connection. It reads all the time: whoever sends may wait for the peer's windows."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire
        self._http = client_side()
        self._sending = asyncio.Lock()
        self._streams: dict[int, RequestStream] = {}
        self._over: Callable[[ExchangeRecorder], Exception] | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            h2.events.DataReceived: self._acknowledge,
            h2.events.ConnectionTerminated: self._goaway,
            h2.events.WindowUpdated: self._open_windows,
            h2.events.RemoteSettingsChanged: self._open_windows,
        }

    async def exchange(self, request: Request, recorder: ExchangeRecorder) -> None:
        """Send a request on a stream of its own, and read the answer to its end."""
        if self._over is not None:
            raise self._over(recorder)
        body = content(request.body)
        stream = self._open(request, recorder, body)
        writing = asyncio.create_task(self._write(stream, body))
        try:
            await stream.answered
        finally:
            await abandon(writing)
            self._forget(stream)

    async def listen(self) -> None:
        """Read until the connection ends."""
        frames = FromServer(self._http)
        try:
            while data := await self._wire.receive():
                for event in frames.events(data):
                    self._take(event)
                await self.flush()
        except (Ended, ConnectionResetError) as error:
            self._end(lambda _observed, error=error: error)  # type: ignore[misc]
        else:
            self._end(lambda recorder: recorder.cut("the peer closed the connection", reset=False))

    async def flush(self) -> None:
        """Send what waits to be sent."""
        async with self._sending:
            await self._wire.send(self._http.data_to_send())

    def _open(self, request: Request, recorder: ExchangeRecorder, body: bytes) -> RequestStream:
        """A stream with the head of its request, which waits to be sent; raw bytes count as the first stream."""
        number = FIRST
        if request.raw is None:
            number = self._http.get_next_available_stream_id()
            self._http.send_headers(number, to_bytes(request_headers(request, body)), end_stream=not body)
        stream = self._streams[number] = RequestStream(number, request, recorder)
        return stream

    async def _write(self, stream: RequestStream, body: bytes) -> None:
        if stream.request.raw is not None:
            await self._wire.send(stream.request.raw)
            return
        await self.flush()
        first, rest = parted(body, before_pause(stream.request))
        with suppress(h2.exceptions.StreamClosedError):  # the answer says why
            await self._write_body(stream, first, end=not rest)
            if rest:
                await stream.recorder.pause()
                await self._write_body(stream, rest, end=True)
            stream.sent = True

    async def _write_body(self, stream: RequestStream, body: bytes, *, end: bool) -> None:
        while body:
            if (free := room(self._http, stream.number)) <= 0:
                stream.window.clear()
                await stream.window.wait()
                continue
            piece, body = body[:free], body[free:]
            self._http.send_data(stream.number, piece, end_stream=end and not body)
            await self.flush()

    def _take(self, event: h2.events.Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is not None and (of_stream := OF_STREAM.get(type(event))):
            of_stream(stream, event)
        self._handlers.get(type(event), ignore)(event)

    def _acknowledge(self, event: h2.events.DataReceived) -> None:
        self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _goaway(self, event: h2.events.ConnectionTerminated) -> None:
        code = event.error_code
        last = event.last_stream_id or 0
        self._end(lambda recorder: recorder.cut(f"GOAWAY {error_name(code)}", reset=code != 0), above=last)

    def _open_windows(self, _event: h2.events.Event) -> None:
        for stream in self._streams.values():
            stream.window.set()

    def _end(self, how: Callable[[ExchangeRecorder], Exception], above: int = 0) -> None:
        """No further stream can be opened; those with a higher number than this have failed."""
        self._over = self._over or how
        for stream in self._streams.values():
            if stream.number > above:
                stream.fail(how(stream.recorder))

    def _forget(self, stream: RequestStream) -> None:
        """Release a stream; if its request is not whole, the peer need not wait for the rest."""
        del self._streams[stream.number]
        whole = stream.sent and stream.answered.done() and not stream.answered.cancelled()
        if stream.request.raw is None and not whole:
            with suppress(h2.exceptions.ProtocolError):  # the peer may have closed it
                self._http.reset_stream(stream.number, h2.errors.ErrorCodes.CANCEL)


@asynccontextmanager
async def begun(wire: Connection) -> AsyncIterator[Http2Connection]:
    """A connection over HTTP/2 while the block runs."""
    http = Http2Connection(wire)
    listening = asyncio.create_task(http.listen())
    try:
        yield http
    finally:
        await abandon(listening)


@dataclass
class KeptHttp2:
    """A connection for any number of exchanges, also at the same time."""

    http: Http2Connection
    block: AsyncExitStack

    async def exchange(self, request: Request, recorder: ExchangeRecorder) -> None:
        """Make an exchange; see ``kept``."""
        try:
            await self.http.exchange(request, recorder)
        finally:
            await self.http.flush()

    async def close(self) -> None:
        """Close it."""
        await self.block.aclose()


async def keep(request: Request, recorder: ExchangeRecorder) -> KeptHttp2:
    """Dial a connection that is kept; see ``kept``."""
    async with AsyncExitStack() as block:
        wire = await block.enter_async_context(connection(request, recorder))
        return KeptHttp2(await block.enter_async_context(begun(wire)), block.pop_all())


def request_headers(request: Request, body: bytes) -> list[tuple[str, str]]:
    """The headers of a request in the order in which they are sent."""
    headers = [
        (":method", request.method),
        (":scheme", "http" if request.tls is None else "https"),
        (":path", request.path),
        (":authority", request.authority),
        (REQUEST_ID_HEADER, request.request_id),
        *((name.lower(), value) for name, value in request.headers),
    ]
    return [*headers, ("content-length", str(len(body)))] if body and not request.chunked else headers
