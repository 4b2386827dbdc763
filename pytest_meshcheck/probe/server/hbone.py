"""Tunnels as a server: the stream of each HTTP/2 CONNECT is a connection like those that the port itself accepts."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import h2.errors
import h2.events
import h2.exceptions

from pytest_meshcheck.probe.http2.connection import error_name, room, server_side
from pytest_meshcheck.probe.protocol.headers import from_bytes, to_bytes
from pytest_meshcheck.probe.protocol.messages import joined
from pytest_meshcheck.probe.server.connection import AcceptedConnection
from pytest_meshcheck.probe.server.http2_events import Http2Events

Serve = Callable[[AcceptedConnection], Coroutine[Any, Any, None]]

HIGH_WATER = 1 << 16
"""Bytes that may wait for the peer's windows before writing pauses."""

NO_SUCH_PORT = 503
"""ztunnel's answer when the port behind it is closed."""

NOT_CONNECT = 400


class TunnelServer(Http2Events):
    """One connection, and the tunnels in it. All lead to one port; a CONNECT to another is answered 503."""

    def __init__(self, serve: Serve, port: int, connection: AcceptedConnection) -> None:
        super().__init__(server_side(validate_inbound_headers=False))
        self._serve = serve
        self._port = port
        self.connection = connection
        self._streams: dict[int, StreamTransport] = {}

    async def run(self) -> None:
        """Serve tunnels until the connection ends."""
        self.flush()
        try:
            while data := await self.connection.read():
                if not self._take(data):
                    break
        finally:
            for stream in list(self._streams.values()):
                stream.lose(ConnectionResetError(self.connection.gone or "the connection ended"))

    def _take(self, data: bytes) -> bool:
        """Whether the connection goes on after these bytes; h2 sends and takes nothing after GOAWAY."""
        try:
            events = self.http.receive_data(data)
            if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
                return False
            for event in events:
                self.handle(event)
        except h2.exceptions.ProtocolError:
            return False
        finally:
            self.flush()
        return True

    def _begin(self, event: h2.events.RequestReceived) -> None:
        headers = from_bytes(event.headers)
        _, _, port = (joined(headers, ":authority") or "").rpartition(":")
        if joined(headers, ":method") != "CONNECT":
            self._answer(event.stream_id, NOT_CONNECT, end=True)
        elif port != str(self._port):
            self._answer(event.stream_id, NO_SUCH_PORT, end=True)
        else:
            self._answer(event.stream_id, 200, end=False)
            stream = StreamTransport(self, event.stream_id, AcceptedConnection(self._serve))
            self._streams[event.stream_id] = stream
            stream.inside.connection_made(stream)

    def _answer(self, number: int, status: int, *, end: bool) -> None:
        self.http.send_headers(number, to_bytes([(":status", str(status))]), end_stream=end)

    def _data(self, event: h2.events.DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        else:
            stream.take(event.data, event.flow_controlled_length)

    def _end(self, event: h2.events.StreamEnded) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.inside.eof_received()

    def _reset(self, event: h2.events.StreamReset) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.lose(ConnectionResetError(f"RST_STREAM {error_name(event.error_code)}"))

    def _open_window(self, _event: h2.events.Event) -> None:
        for stream in list(self._streams.values()):
            stream.pump()

    def flush(self) -> None:
        """Send the pending bytes; if the connection is lost, its end is about to end the streams."""
        data = self.http.data_to_send()
        if data and not self.connection.transport.is_closing():
            self.connection.put(data)

    def forget(self, number: int) -> None:
        """A stream is over."""
        self._streams.pop(number, None)


class StreamTransport(asyncio.Transport):
    """A stream as the transport of the connection inside it."""

    def __init__(self, server: TunnelServer, number: int, inside: AcceptedConnection) -> None:
        super().__init__({"peername": server.connection.peer})
        self._server = server
        self._number = number
        self.inside = inside
        self._waiting = bytearray()
        self._unacknowledged = 0
        self._reading = True
        self._full = False
        self._ending = False
        self._closing = False
        self._sent_end = False
        self._lost = False

    def take(self, data: bytes, controlled: int) -> None:
        """Hand the bytes on; the peer may send as much again once the connection inside reads."""
        self._unacknowledged += controlled
        self.inside.data_received(data)
        self._acknowledge()

    def pause_reading(self) -> None:
        """Have the peer wait once its window is used up."""
        self._reading = False

    def resume_reading(self) -> None:
        """Have the peer go on."""
        self._reading = True
        if not self._lost:
            self._acknowledge()
            self._server.flush()

    def write(self, data: Any) -> None:
        """Send bytes, as fast as the peer's windows allow."""
        self._waiting += data
        self.pump()

    def can_write_eof(self) -> bool:
        """Streams end one direction at a time."""
        return True

    def write_eof(self) -> None:
        """End the sending direction, after all that was written."""
        self._ending = True
        self.pump()

    def is_closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self._closing or self._lost

    def close(self) -> None:
        """End the stream, after all that was written."""
        if not self.is_closing():
            self._closing = self._ending = True
            self.pump()

    def abort(self) -> None:
        """Reset the stream."""
        if not self._lost:
            self._server.http.reset_stream(self._number, h2.errors.ErrorCodes.CANCEL)
            self.lose(None)
            self._server.flush()

    def pump(self) -> None:
        """Send as much as the peer's windows allow now."""
        if self._lost:
            return
        http = self._server.http
        while self._waiting:
            if (free := room(http, self._number)) <= 0:
                break
            http.send_data(self._number, bytes(self._waiting[:free]))
            del self._waiting[:free]
        if self._ending and not self._waiting and not self._sent_end:
            self._sent_end = True
            http.end_stream(self._number)
        if self._closing and self._sent_end:
            self.lose(None)
        self._notify_writer()
        self._server.flush()

    def lose(self, error: Exception | None) -> None:
        """The stream is over in both directions."""
        if not self._lost:
            self._lost = True
            self._server.forget(self._number)
            asyncio.get_running_loop().call_soon(self.inside.connection_lost, error)

    def _acknowledge(self) -> None:
        if self._reading and self._unacknowledged:
            self._server.http.acknowledge_received_data(self._unacknowledged, self._number)
            self._unacknowledged = 0

    def _notify_writer(self) -> None:
        full = len(self._waiting) > HIGH_WATER
        if full != self._full:
            self._full = full
            (self.inside.pause_writing if full else self.inside.resume_writing)()
