"""HTTP/1.1 as a server: answers as scripted, keeps connections alive, writes down what came as it came."""

import h11

from pytest_meshcheck.probe.protocol.body import content, halves
from pytest_meshcheck.probe.protocol.headers import from_bytes, to_bytes
from pytest_meshcheck.probe.protocol.messages import (
    REQUEST_ID_HEADER,
    Answer,
    AttemptEnding,
    Behaviour,
    Protocol,
    joined,
)
from pytest_meshcheck.probe.server.connection import AcceptedConnection, PeerGone
from pytest_meshcheck.probe.server.ledger import Entry, Head
from pytest_meshcheck.probe.server.scripts import ScriptedResponses

HEAD_LIMIT = 1 << 20
"""Bytes that the head of a request may have."""

BODILESS = frozenset({204, 304})


class Http1Server:
    """One connection.

    Attributes:
        protocol: The protocol in the ledger.
    """

    protocol = Protocol.HTTP1

    def __init__(self, connection: AcceptedConnection, responses: ScriptedResponses, port: str) -> None:
        self._connection = connection
        self._responses = responses
        self._port = port
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)

    async def run(self) -> None:
        """Serve requests until the connection ends."""
        try:
            while isinstance(event := await self._next(), h11.Request):
                await self._attempt(event)
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            self._reject(error)

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if not isinstance(event, type) or event is h11.PAUSED:
                return event
            self._http.receive_data(await self._connection.read())

    async def _attempt(self, request: h11.Request) -> None:
        entry, answer = self._responses.arrive(self._head(request))
        bodiless = request.method == b"HEAD" or answer.status in BODILESS
        try:
            await self._read_body(entry, answer.after)
            await self._connection.pause(answer.delay)
            answer = await self._responses.outcome(answer)
            if (cut := CUTS.get(answer.behaviour)) is not None:
                await cut(self, entry)
            else:
                await self._answer(entry, answer, bodiless)
        except PeerGone as gone:
            entry.end(AttemptEnding.CANCELLED, str(gone))
        except h11.RemoteProtocolError as error:
            entry.end(AttemptEnding.CANCELLED, f"the request broke off: {error}")
            return
        except h11.LocalProtocolError as error:
            entry.end(AttemptEnding.CUT, f"HTTP/1.1 has no such answer as the script's: {error}")
            raise
        if answer.after is not None and self._http.their_state is h11.SEND_BODY:
            await self._read_body(entry)

    def _head(self, request: h11.Request) -> Head:
        headers = from_bytes(request.headers.raw_items())
        return Head(
            protocol=self.protocol,
            port=self._port,
            request_id=joined(headers, REQUEST_ID_HEADER) or "",
            method=request.method.decode("latin-1"),
            path=request.target.decode("latin-1"),
            authority=joined(headers, "host") or "",
            headers=headers,
            peer=self._connection.peer,
        )

    async def _read_body(self, entry: Entry, enough: int | None = None) -> None:
        if self._http.they_are_waiting_for_100_continue and enough != 0:
            self._put(h11.InformationalResponse(status_code=100, headers=[]))
        while (enough is None or entry.length < enough) and isinstance(event := await self._next(), h11.Data):
            entry.received(event.data)

    async def _answer(self, entry: Entry, answer: Answer, bodiless: bool) -> None:
        self._inform(answer)
        body = b"" if bodiless else content(answer.body)
        entry.answering()
        self._put(h11.Response(status_code=answer.status, headers=response_headers(answer, len(body), bodiless)))
        if answer.body_delay:
            first, body = halves(body)
            await self._connection.write(self._http.send(h11.Data(data=first)) or b"")
            await self._connection.pause(answer.body_delay)
        data = self._http.send(h11.Data(data=body)) or b""
        end = self._http.send(h11.EndOfMessage(headers=[] if bodiless else to_bytes(answer.trailers))) or b""
        if self._connection.gone:
            raise PeerGone(self._connection.gone)
        # Written down before the last bytes go out: whoever has the answer finds the attempt ended.
        entry.end(AttemptEnding.ANSWERED)
        await self._connection.write(data + end)

    def _inform(self, answer: Answer) -> None:
        for status in answer.informational:
            self._put(h11.InformationalResponse(status_code=status, headers=[]))

    async def _reset(self, entry: Entry) -> None:
        entry.end(AttemptEnding.CUT, "reset as scripted")
        self._connection.reset()

    async def _close(self, entry: Entry) -> None:
        entry.end(AttemptEnding.CUT, "closed as scripted")
        self._connection.close()

    async def _stall(self, _entry: Entry) -> None:
        await self._connection.pause(None)

    def _put(self, event: h11.Event) -> None:
        self._connection.put(self._http.send(event) or b"")

    def _reject(self, error: h11.RemoteProtocolError) -> None:
        if self._connection.gone:
            return
        entry, _ = self._responses.arrive(Head(protocol=self.protocol, port=self._port, peer=self._connection.peer))
        entry.end(AttemptEnding.CUT, f"not HTTP/1.1: {error}")
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            self._put(h11.Response(status_code=error.error_status_hint, headers=headers))


CUTS = {
    Behaviour.RESET: Http1Server._reset,
    Behaviour.REFUSE_STREAM: Http1Server._reset,
    Behaviour.CLOSE: Http1Server._close,
    Behaviour.STALL: Http1Server._stall,
}
"""The actions in place of an answer."""


def response_headers(answer: Answer, length: int, bodiless: bool) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that frame its body; trailers need chunks."""
    headers = to_bytes(answer.headers)
    if answer.trailers and not bodiless:
        return [*headers, (b"transfer-encoding", b"chunked")]
    if answer.status in BODILESS:
        return headers
    return [*headers, (b"content-length", str(length).encode())]
