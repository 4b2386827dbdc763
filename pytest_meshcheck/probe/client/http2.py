"""HTTP/2 as a client, with prior knowledge (or what ALPN chose): one stream on a connection of its own."""

import asyncio
from collections.abc import Callable
from typing import Any

import h2.events

from pytest_meshcheck.probe.client.client import abandon, connection
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Observed
from pytest_meshcheck.probe.client.http2_frames import FromServer
from pytest_meshcheck.probe.http2.connection import client_side, error_name, ignore, room
from pytest_meshcheck.probe.protocol.body import before_pause, content, parted
from pytest_meshcheck.probe.protocol.headers import from_bytes, regular, to_bytes
from pytest_meshcheck.probe.protocol.messages import REQUEST_ID_HEADER, Request, joined

STREAM = 1


async def speak(request: Request, observed: Observed) -> None:
    """Make an exchange; see ``client.speaker``."""
    async with connection(request, observed) as wire:
        await Http2Client(request, observed, wire).run()


class Http2Client:
    """One request and its answer."""

    def __init__(self, request: Request, observed: Observed, wire: Connection) -> None:
        self._request = request
        self._observed = observed
        self._wire = wire
        self._http = client_side()
        self._window = asyncio.Event()
        self._sending = asyncio.Lock()
        self._whole = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            h2.events.InformationalResponseReceived: self._informational,
            h2.events.ResponseReceived: self._head,
            h2.events.DataReceived: self._data,
            h2.events.TrailersReceived: self._trailers,
            h2.events.StreamEnded: self._end,
            h2.events.StreamReset: self._reset,
            h2.events.ConnectionTerminated: self._goaway,
            h2.events.WindowUpdated: self._open_window,
            h2.events.RemoteSettingsChanged: self._open_window,
        }

    async def run(self) -> None:
        """Send the request and read the answer to its end."""
        writing = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            await abandon(writing)

    async def _write(self) -> None:
        if self._request.raw is not None:
            await self._wire.send(self._request.raw)
            return
        body = content(self._request.body)
        self._http.send_headers(STREAM, to_bytes(request_headers(self._request, body)), end_stream=not body)
        await self._flush()
        first, rest = parted(body, before_pause(self._request))
        await self._write_body(first, end=not rest)
        if rest:
            await self._observed.pause()
            await self._write_body(rest, end=True)

    async def _write_body(self, body: bytes, *, end: bool) -> None:
        while body:
            if (free := room(self._http, STREAM)) <= 0:
                self._window.clear()
                await self._window.wait()
                continue
            piece, body = body[:free], body[free:]
            self._http.send_data(STREAM, piece, end_stream=end and not body)
            await self._flush()

    async def _read(self) -> None:
        answers = FromServer(self._http)
        while not self._whole:
            data = await self._wire.receive()
            if not data:
                raise self._observed.cut("the peer closed the connection", reset=False)
            for event in answers.events(data):
                self._handlers.get(type(event), ignore)(event)
            await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            await self._wire.send(self._http.data_to_send())

    def _informational(self, event: h2.events.InformationalResponseReceived) -> None:
        self._observed.informational += (int(joined(from_bytes(event.headers), ":status") or 0),)

    def _head(self, event: h2.events.ResponseReceived) -> None:
        headers = from_bytes(event.headers)
        self._observed.begun = True
        self._observed.status = int(joined(headers, ":status") or 0)
        self._observed.headers = regular(headers)
        self._grpc(headers)

    def _data(self, event: h2.events.DataReceived) -> None:
        self._observed.body(event.data)
        self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _trailers(self, event: h2.events.TrailersReceived) -> None:
        self._observed.trailers = from_bytes(event.headers)
        self._grpc(self._observed.trailers)

    def _grpc(self, headers: tuple[tuple[str, str], ...]) -> None:
        status = joined(headers, "grpc-status")
        if status is not None and status.isdigit():
            self._observed.grpc_status = int(status)
            self._observed.grpc_message = joined(headers, "grpc-message") or ""

    def _end(self, _event: h2.events.StreamEnded) -> None:
        self._whole = True

    def _reset(self, event: h2.events.StreamReset) -> None:
        if not self._whole:
            raise self._observed.cut(f"RST_STREAM {error_name(event.error_code)}", reset=True)

    def _goaway(self, event: h2.events.ConnectionTerminated) -> None:
        if not self._whole and (event.last_stream_id or 0) < STREAM:
            raise self._observed.cut(f"GOAWAY {error_name(event.error_code)}", reset=event.error_code != 0)

    def _open_window(self, _event: h2.events.Event) -> None:
        self._window.set()


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
