"""TCP as a server: sends its banner if it speaks first, reads the id line, echoes the rest."""

from pytest_meshcheck.probe.protocol.messages import TCP_BANNER, Answer, AttemptEnding, Behaviour, Listen, Protocol
from pytest_meshcheck.probe.protocol.tcp_lines import ID_LIMIT, ID_LINE
from pytest_meshcheck.probe.server.connection import AcceptedConnection, PeerGone
from pytest_meshcheck.probe.server.ledger import Entry, Head
from pytest_meshcheck.probe.server.scripts import ScriptedResponses


async def serve(responses: ScriptedResponses, port: Listen, connection: AcceptedConnection) -> None:
    """Serve a connection to its end; see ``listeners``."""
    await TcpServer(connection, responses, port.port, server_first=port.server_first).run()


class TcpServer:
    """One connection. Whatever follows the id line is echoed; without such a line everything is."""

    def __init__(
        self, connection: AcceptedConnection, responses: ScriptedResponses, port: str, *, server_first: bool
    ) -> None:
        self._connection = connection
        self._responses = responses
        self._port = port
        self._server_first = server_first

    async def run(self) -> None:
        """Serve until the peer closes its half, then close ours."""
        entry, _ = self._responses.arrive(Head(protocol=Protocol.TCP, port=self._port, peer=self._connection.peer))
        try:
            if self._server_first:
                await self._connection.write(TCP_BANNER)
            data = await self._identify(entry)
            answer = self._responses.answer(entry.request_id, entry.attempt().number)
            await self._serve(entry, answer, data)
        except PeerGone as gone:
            entry.end(AttemptEnding.CANCELLED, str(gone))

    async def _identify(self, entry: Entry) -> bytes:
        """Read the id line, if there is one; returns the bytes beyond it."""
        data = b""
        while not whole_line(data):
            piece = await self._connection.read()
            if not piece:
                return data
            data += piece
        line, newline, rest = data.partition(b"\n")
        if not (newline and line.startswith(ID_LINE)):
            return data
        entry.identify(line.removeprefix(ID_LINE).strip().decode("latin-1"))
        return rest

    async def _serve(self, entry: Entry, answer: Answer, data: bytes) -> None:
        data = data or await self._connection.read()
        entry.received(data)
        if data:
            await self._connection.pause(answer.delay)
        if answer.behaviour in (Behaviour.RESET, Behaviour.REFUSE_STREAM):
            entry.end(AttemptEnding.CUT, "reset as scripted")
            return self._connection.reset()
        if answer.behaviour is Behaviour.CLOSE:
            entry.end(AttemptEnding.CUT, "closed as scripted")
            return self._connection.close()
        if answer.behaviour is Behaviour.STALL:
            await self._connection.pause(None)
        return await self._echo(entry, data)

    async def _echo(self, entry: Entry, data: bytes) -> None:
        while data:
            entry.answering()
            await self._connection.write(data)
            data = await self._connection.read()
            entry.received(data)
        if not entry.begun or self._connection.broken:
            raise PeerGone(self._connection.gone)
        entry.end(AttemptEnding.ANSWERED)


def whole_line(data: bytes) -> bool:
    """Whether enough is there to know the id line, or to know that there is none."""
    return b"\n" in data or len(data) > ID_LIMIT or not ID_LINE.startswith(data[: len(ID_LINE)])
