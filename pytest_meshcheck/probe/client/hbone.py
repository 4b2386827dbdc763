"""A connection inside another one: the one stream of an HTTP/2 CONNECT (RFC 9113, 8.5), as HBONE has it."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h2.events

from pytest_meshcheck.probe.client.client import abandon
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Ended
from pytest_meshcheck.probe.client.http2 import FIRST
from pytest_meshcheck.probe.client.http2_frames import FromServer
from pytest_meshcheck.probe.http2.connection import client_side, error_name, ignore, room
from pytest_meshcheck.probe.protocol.headers import from_bytes, to_bytes
from pytest_meshcheck.probe.protocol.messages import Ending, joined


@asynccontextmanager
async def tunnelled(wire: Connection, authority: str) -> AsyncIterator[Connection]:
    """What is behind a CONNECT to this authority, while the block runs.

    Raises:
        Ended: The peer refuses, or ends the connection or the stream before it answers.
        ConnectionResetError: It resets one of them.
    """
    tunnel = Tunnel(wire)
    reading = asyncio.create_task(tunnel.listen())
    try:
        await tunnel.connect(authority)
        yield tunnel
    finally:
        await abandon(reading)


class Tunnel:
    """The stream, as a connection.

    It reads all the time, not only in ``receive``, since whoever sends may wait for the peer's windows meanwhile.
    """

    def __init__(self, wire: Connection) -> None:
        self._wire = wire
        self._http = client_side()
        self._sending = asyncio.Lock()
        self._news = asyncio.Event()
        self._status: int | None = None
        self._received = bytearray()
        self._ended = False
        self._deaf = False
        self._error: Exception | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            h2.events.ResponseReceived: self._head,
            h2.events.DataReceived: self._data,
            h2.events.StreamEnded: self._end,
            h2.events.StreamReset: self._reset,
            h2.events.ConnectionTerminated: self._goaway,
        }

    async def connect(self, authority: str) -> None:
        """Ask for the tunnel, and wait for the answer; see ``tunnelled``."""
        self._http.send_headers(FIRST, to_bytes([(":method", "CONNECT"), (":authority", authority)]))
        await self._flush()
        while self._status is None and not self._ended:
            await self._news.wait()
        if self._status is None:
            raise self._error or Ended(Ending.CLOSED, "the peer closed the connection before it answered CONNECT")
        if not 200 <= self._status < 300:
            raise Ended(Ending.TUNNEL_REFUSED, f"CONNECT {authority}: status {self._status}")

    async def listen(self) -> None:
        """Take what the peer sends, as long as it does; an error is kept for whoever waits for something."""
        try:
            await self._read()
        except (Ended, ConnectionResetError) as error:
            self._error = error
        self._ended = self._deaf = True
        self._tell()

    async def send(self, data: bytes) -> None:
        """Send bytes, as fast as the peer's windows allow; a broken connection shows itself on receiving."""
        while data and not self._deaf:
            if (free := room(self._http, FIRST)) <= 0:
                await self._news.wait()
                continue
            self._http.send_data(FIRST, data[:free])
            data = data[free:]
            await self._flush()

    async def receive(self) -> bytes:
        """Bytes, or nothing at the end of the stream.

        Raises:
            Ended: The connection below ended so.
            ConnectionResetError: The stream or the connection below was reset.
        """
        while not self._received and not self._ended:
            await self._news.wait()
        if not self._received and self._error is not None:
            raise self._error
        data = bytes(self._received)
        self._received.clear()
        return data

    def close(self) -> None:
        """Close the connection below."""
        self._wire.close()

    async def _read(self) -> None:
        answers = FromServer(self._http)
        while not self._deaf and (data := await self._wire.receive()):
            for event in answers.events(data):
                self._handlers.get(type(event), ignore)(event)
            self._tell()
            await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            await self._wire.send(self._http.data_to_send())

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _head(self, event: h2.events.ResponseReceived) -> None:
        self._status = int(joined(from_bytes(event.headers), ":status") or 0)

    def _data(self, event: h2.events.DataReceived) -> None:
        self._received += event.data
        self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _end(self, _event: h2.events.StreamEnded) -> None:
        self._ended = True

    def _reset(self, event: h2.events.StreamReset) -> None:
        self._deaf = True
        if not self._ended:
            raise ConnectionResetError(errno.ECONNRESET, f"RST_STREAM {error_name(event.error_code)} of the tunnel")

    def _goaway(self, event: h2.events.ConnectionTerminated) -> None:
        if not self._ended and (event.error_code or (event.last_stream_id or 0) < FIRST):
            raise ConnectionResetError(errno.ECONNRESET, f"GOAWAY {error_name(event.error_code)} of the tunnel")
