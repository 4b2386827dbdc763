"""HTTP/2 as a server: one connection, its streams side by side, each answered by a task of its own."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import h2.errors
import h2.events
import h2.exceptions

from pytest_meshcheck.probe.http2.connection import error_name, room, server_side
from pytest_meshcheck.probe.protocol.grpc_framing import CompressedMessage
from pytest_meshcheck.probe.protocol.headers import from_bytes, regular, to_bytes
from pytest_meshcheck.probe.protocol.messages import REQUEST_ID_HEADER, Answer, AttemptEnding, Protocol, joined
from pytest_meshcheck.probe.server.connection import AcceptedConnection, PeerGone
from pytest_meshcheck.probe.server.http2_events import Http2Events
from pytest_meshcheck.probe.server.http2_response import ResponseStream, respond
from pytest_meshcheck.probe.server.ledger import Head
from pytest_meshcheck.probe.server.scripts import ScriptedResponses


class Http2Server(Http2Events):
    """One connection. gRPC is answered here as well, which makes every reset and every refusal exact."""

    def __init__(self, connection: AcceptedConnection, responses: ScriptedResponses, port: str) -> None:
        super().__init__(server_side())
        self.connection = connection
        self._responses = responses
        self._port = port
        self._streams: dict[int, ResponseStream] = {}
        self._window = asyncio.Event()

    async def run(self) -> None:
        """Serve streams until the connection ends."""
        try:
            self._flush()
            while data := await self.connection.read():
                for event in self.http.receive_data(data):
                    self.handle(event)
                self._flush()
        except h2.exceptions.ProtocolError as error:
            self._reject(error)
        except PeerGone:
            self._leave(self.connection.gone)
        self._leave(self.connection.gone)

    def _begin(self, event: h2.events.RequestReceived) -> None:
        headers = from_bytes(event.headers)
        grpc = (joined(headers, "content-type") or "").startswith("application/grpc")
        entry, answer = self._responses.arrive(
            Head(
                protocol=Protocol.GRPC if grpc else Protocol.H2C,
                port=self._port,
                request_id=joined(headers, REQUEST_ID_HEADER) or "",
                method=joined(headers, ":method") or "",
                path=joined(headers, ":path") or "",
                authority=joined(headers, ":authority") or joined(headers, "host") or "",
                headers=regular(headers),
                peer=self.connection.peer,
            )
        )
        stream = self._streams[event.stream_id] = ResponseStream(event.stream_id, entry, answer, grpc=grpc)
        self._run(stream, respond(self, stream))

    def _run(self, stream: ResponseStream, answering: Coroutine[Any, Any, None]) -> None:
        stream.task = asyncio.create_task(answering)
        stream.task.add_done_callback(lambda _: self._forget(stream))

    def _data(self, event: h2.events.DataReceived) -> None:
        self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        try:
            stream.received(event.data)
        except CompressedMessage:
            stream.entry.end(AttemptEnding.CUT, "a gRPC message came compressed, which was not offered")
            self.refuse(stream, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            self._streams.pop(event.stream_id).cancel("")

    def _end(self, event: h2.events.StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.whole()
            self._forget(stream)

    def _reset(self, event: h2.events.StreamReset) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is not None:
            stream.cancel(f"RST_STREAM {error_name(event.error_code)}")

    def _forget(self, stream: ResponseStream) -> None:
        """Forget a stream that is answered and heard to its end."""
        if stream.task.done() and stream.heard:
            self._streams.pop(stream.number, None)

    def _leave(self, why: str) -> None:
        for stream in self._streams.values():
            stream.cancel(why or "the connection ended")
        self._streams.clear()

    def _reject(self, error: h2.exceptions.ProtocolError) -> None:
        entry, _ = self._responses.arrive(Head(protocol=Protocol.H2C, port=self._port, peer=self.connection.peer))
        entry.end(AttemptEnding.CUT, f"not HTTP/2: {error}")
        if not self.connection.gone:
            self._flush()

    def _open_window(self, _event: h2.events.Event) -> None:
        self._window.set()
        self._window = asyncio.Event()

    def _flush(self) -> None:
        if data := self.http.data_to_send():
            self.connection.put(data)

    async def outcome(self, answer: Answer) -> Answer:
        """The answer to an attempt, after its request onward has ended."""
        return await self._responses.outcome(answer)

    async def headers(self, stream: ResponseStream, headers: list[tuple[str, str]], *, end: bool = False) -> None:
        """Send a block of headers."""
        self.http.send_headers(stream.number, to_bytes(headers), end_stream=end)
        self._flush()

    async def body(self, stream: ResponseStream, data: bytes) -> None:
        """Send a piece of a body, as fast as the peer's windows allow."""
        while data:
            if (free := room(self.http, stream.number)) <= 0:
                await self._window.wait()
                continue
            self.http.send_data(stream.number, data[:free])
            data = data[free:]
            self._flush()
            await self.connection.write(b"")

    async def finish(self, stream: ResponseStream) -> None:
        """End the answer without trailers."""
        self.http.end_stream(stream.number)
        self._flush()

    def refuse(self, stream: ResponseStream, code: h2.errors.ErrorCodes) -> None:
        """Reset one stream."""
        self.http.reset_stream(stream.number, code)
        self._flush()
