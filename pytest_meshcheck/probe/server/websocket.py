"""WebSocket as a server (RFC 6455): takes upgrades of HTTP/1.1 unless scripted otherwise, and echoes every message."""

import h11
import msgspec
from wsproto.connection import Connection as Frames, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.utilities import generate_accept_token

from pytest_meshcheck.probe.protocol.body import content
from pytest_meshcheck.probe.protocol.headers import to_bytes
from pytest_meshcheck.probe.protocol.messages import Answer, Attempt, AttemptEnding, Listen, Protocol
from pytest_meshcheck.probe.protocol.websocket import (
    ACCEPT,
    KEY,
    REQUIRED,
    SWITCHING,
    UPGRADE,
    bytes_of,
    misfit,
)
from pytest_meshcheck.probe.server.connection import AcceptedConnection, PeerGone
from pytest_meshcheck.probe.server.http1 import Http1Server
from pytest_meshcheck.probe.server.ledger import Entry
from pytest_meshcheck.probe.server.scripts import UNSCRIPTED, ScriptedResponses

UPGRADE_REQUIRED = 426


async def serve(responses: ScriptedResponses, port: Listen, connection: AcceptedConnection) -> None:
    """Serve a connection to its end; see ``listeners``."""
    await WebSocketServer(connection, responses, port.port).run()


class WebSocketServer(Http1Server):
    """One connection. An upgrade is an attempt, which ends with its connection; the messages are its body."""

    protocol = Protocol.WEBSOCKET

    async def _answer(self, entry: Entry, answer: Answer, bodiless: bool) -> None:
        attempt = entry.attempt()
        if answer.status not in (UNSCRIPTED.status, SWITCHING):
            await super()._answer(entry, answer, bodiless)
        elif is_opening(attempt):
            self._inform(answer)
            entry.answering()
            self._put(h11.InformationalResponse(status_code=SWITCHING, headers=accepting(attempt, answer)))
            await Conversation(self._connection, entry, answer).run(self._http.trailing_data[0])
        else:
            required = msgspec.structs.replace(answer, status=UPGRADE_REQUIRED, headers=(*REQUIRED, *answer.headers))
            await super()._answer(entry, required, bodiless)


def is_opening(attempt: Attempt) -> bool:
    """Whether a request is an opening handshake."""
    wanted = attempt.header(KEY) is not None and attempt.method == "GET"
    return wanted and not misfit(attempt.headers, REQUIRED)


def accepting(attempt: Attempt, answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers that accept an opening handshake, with the script's headers."""
    accept = generate_accept_token((attempt.header(KEY) or "").encode("latin-1")).decode()
    return to_bytes((*UPGRADE, (ACCEPT, accept), *answer.headers))


class Conversation:
    """An upgraded connection."""

    def __init__(self, connection: AcceptedConnection, entry: Entry, answer: Answer) -> None:
        self._connection = connection
        self._entry = entry
        self._answer = answer
        self._frames = Frames(ConnectionType.SERVER)
        self._heard = b""

    async def run(self, data: bytes) -> None:
        """Answer messages until one side closes; ``data`` came behind the request. PeerGone: without a close frame."""
        while True:
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, CloseConnection):
                    return await self._close(event)
                await self._take(event)
            if not (data := await self._connection.read()):
                raise PeerGone(self._connection.gone)

    async def _take(self, event: Event) -> None:
        if isinstance(event, Ping):
            await self._connection.write(self._frames.send(event.response()))
        elif isinstance(event, Message):
            data = bytes_of(event)
            self._entry.received(data)
            self._heard += data
            if event.message_finished:
                await self._reply(is_text=isinstance(event, TextMessage))

    async def _reply(self, *, is_text: bool) -> None:
        """Send the message back, or the script's in its place."""
        data, self._heard = self._heard, b""
        scripted = self._answer.body
        if scripted != UNSCRIPTED.body:
            data, is_text = content(scripted), bool(scripted.text)
        await self._connection.pause(self._answer.body_delay)
        message = TextMessage(data=data.decode()) if is_text else BytesMessage(data=data)
        await self._connection.write(self._frames.send(message))

    async def _close(self, event: CloseConnection) -> None:
        """Answer a close frame, or bytes that are no frame, with a close frame."""
        if self._frames.state is ConnectionState.REMOTE_CLOSING:
            self._entry.end(AttemptEnding.ANSWERED)
        else:
            self._entry.end(AttemptEnding.CUT, f"not WebSocket: {event.reason}")
        await self._connection.write(self._frames.send(event.response()))
