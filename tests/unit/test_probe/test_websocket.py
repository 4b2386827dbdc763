"""WebSocket from probe to probe, and against peers that misbehave."""

import asyncio
import hashlib
import socket
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection as Frames
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import generate_accept_token

from pytest_meshcheck.model.observation import outcome_of
from pytest_meshcheck.probe.client.exchange import ExchangeRecorder
from pytest_meshcheck.probe.client.websocket import WebSocket
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.body import seeded_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

B, E, A = m.Behaviour, m.Ending, m.AttemptEnding
WS = m.Protocol.WEBSOCKET


async def send(pair: Any, request_id: str, port: Any = "ws", **fields: Any) -> m.Exchange:
    return await pair.send(request_id, port, protocol=WS, **fields)


async def test_the_ledger_shows_the_upgrade_as_it_was_asked_for(pair: Any) -> None:
    seen = await send(pair, "as-asked", path="/chat?room=%2e", headers=(("X-Mixed-Case", "1"),), authority="blue")
    (attempt,) = await pair.ledger("as-asked")
    key = attempt.header("sec-websocket-key")
    assert attempt.headers == (
        ("Host", "blue"),
        ("x-meshcheck-id", "as-asked"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
        ("X-Mixed-Case", "1"),
    )
    assert (attempt.protocol, attempt.method, attempt.path, attempt.port) == (WS, "GET", "/chat?room=%2e", "ws")
    assert (attempt.number, attempt.ending, attempt.peer) == (1, A.ANSWERED, seen.local)
    assert (seen.ending, seen.code, seen.served) == (E.ANSWERED, 101, True)
    assert seen.header("sec-websocket-accept") == generate_accept_token(key.encode()).decode()
    assert seen.started <= attempt.arrived <= attempt.answered <= attempt.ended <= seen.ended


@pytest.mark.parametrize("length", [0, 125, 126, 65_536, 1 << 20])
async def test_every_message_comes_back_whole(pair: Any, length: int) -> None:
    seen = await send(pair, f"echo-{length}", body=m.Body(length=length, seed=3), messages=3)
    (attempt,) = await pair.ledger(f"echo-{length}")
    digest = hashlib.sha256(3 * seeded_bytes(3, length)).hexdigest()
    assert (seen.ending, seen.messages) == (E.ANSWERED, 3)
    assert (seen.body_length, seen.body_sha256) == (3 * length, digest)
    assert (attempt.body_length, attempt.body_sha256) == (3 * length, digest)


async def test_texts_and_scripted_messages_come_back(pair: Any) -> None:
    assert (await send(pair, "text", body=m.Body(text="grüße"))).body_length == len("grüße".encode())
    await pair.script("scripted", m.Answer(headers=(("X-One", "1"),), body=m.Body(text="as scripted\n")))
    seen = await send(pair, "scripted", messages=2)
    assert (seen.body_start, seen.header("x-one")) == ("as scripted\n" * 2, "1")


async def test_a_refused_upgrade_is_an_answer_that_did_not_serve(pair: Any) -> None:
    await pair.script("refused", m.Answer(status=403, body=m.Body(text="no entry\n")))
    seen = await send(pair, "refused")
    (attempt,) = await pair.ledger("refused")
    assert (seen.ending, seen.status, seen.body_start, seen.messages) == (E.ANSWERED, 403, "no entry\n", 0)
    assert not seen.served
    assert (attempt.ending, attempt.body_length) == (A.ANSWERED, 0)


@pytest.mark.parametrize(("behaviour", "ending"), [(B.RESET, E.RESET), (B.CLOSE, E.CLOSED)])
async def test_the_server_cuts_upgrades_as_scripted(pair: Any, behaviour: m.Behaviour, ending: m.Ending) -> None:
    await pair.script(f"ws-{behaviour}", m.Answer(behaviour=behaviour))
    assert (await send(pair, f"ws-{behaviour}")).ending is ending
    (attempt,) = await pair.ledger(f"ws-{behaviour}")
    assert attempt.ending is A.CUT


@pytest.mark.parametrize("answer", [m.Answer(behaviour=B.STALL), m.Answer(body_delay=60)])
async def test_a_client_that_gives_up_is_noticed_at_once(pair: Any, answer: m.Answer) -> None:
    await pair.script(f"ws-slow-{answer.behaviour}", answer)
    seen = await send(pair, f"ws-slow-{answer.behaviour}", patience=0.3)
    (attempt,) = await pair.ended(f"ws-slow-{answer.behaviour}")
    assert (seen.ending, attempt.ending) == (E.TIMED_OUT, A.CANCELLED)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "k")),
        (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")),
        (("Upgrade", "h2c"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "k")),
    ],
)
async def test_what_is_no_opening_handshake_is_told_what_to_send(pair: Any, headers: tuple[tuple[str, str]]) -> None:
    seen = await pair.send(f"no-opening-{len(headers)}", "ws", headers=headers)
    assert (seen.status, seen.header("upgrade"), seen.header("sec-websocket-version")) == (426, "websocket", "13")


async def test_bytes_of_ones_own_are_for_other_protocols(pair: Any) -> None:
    error = await pair.fails(request_id="raw", address=pair.ports["ws"], protocol=WS, raw=b"GET /")
    assert "HTTP/1.1 or TCP" in error


def accepts(then: Any = None, *, key: str = "", upgrade: str = "websocket") -> Any:
    """A peer that takes the upgrade, and goes on as told once a message has come."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        sent = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        accept = generate_accept_token((key or sent).encode()).decode()
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nupgrade: {upgrade}\r\nconnection: keep-alive, upgrade\r\n"
            f"sec-websocket-accept: {accept}\r\n\r\n".encode()
        )
        await reader.read(1 << 16)
        if then:
            await then(reader, writer)
        writer.close()

    return peer


def says(data: bytes, *, until_read: bool = False) -> Any:
    """Send these bytes; then close the connection, or first wait for what the client answers."""

    async def then(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if until_read:
            await reader.read(1 << 16)

    return then


async def resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a message of 126 bytes, and reset the connection once the client has it."""
    writer.write(b"\x82\x7e\x00\x7e" + bytes(50))
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


ECHO = Frames(ConnectionType.SERVER).send(BytesMessage(data=b"x"))


@pytest.mark.parametrize(
    ("peer", "ending", "detail"),
    [
        (accepts(key="another"), E.MALFORMED, "Sec-WebSocket-Accept is "),
        (accepts(upgrade="h2c"), E.MALFORMED, "Upgrade is 'h2c', not 'websocket'"),
        (accepts(), E.TRUNCATED, "the peer closed the connection"),
        (accepts(says(ECHO, until_read=True)), E.TRUNCATED, "the peer closed the connection"),
        (accepts(resets), E.TRUNCATED, "Connection reset by peer"),
        (accepts(says(b"\x88\x02\x03\xf3")), E.TRUNCATED, "closed with code 1011"),
        (accepts(says(b"\x88\x06\x03\xf3busy")), E.TRUNCATED, "closed with code 1011 busy"),
        (accepts(says(b"\x82\x81mask!")), E.MALFORMED, "masked"),
        (accepts(says(b"\x81\x02\xff\xff")), E.MALFORMED, "decode"),
        (accepts(says(ECHO + b"\x8b\x00", until_read=True)), E.MALFORMED, "opcode"),
    ],
)
async def test_how_exchanges_with_bad_peers_end(
    pair: Any, *, peers: Any, peer: Any, ending: m.Ending, detail: str
) -> None:
    async with peers(peer) as address:
        seen = await send(pair, "bad", address, body=m.Body(text="x"))
    assert (seen.ending, seen.status, seen.served) == (ending, 101, False), seen
    assert detail in seen.detail


async def test_a_refusal_that_is_cut_short_is_truncated(pair: Any, peers: Any, misbehaving: Any) -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 10\r\n\r\nno"
    async with peers(misbehaving(refusal, then="close")) as address:
        seen = await send(pair, "cut-refusal", address)
    assert (seen.ending, seen.status, seen.body_start) == (E.TRUNCATED, 403, "no")


async def test_a_peer_that_pings_and_sends_in_pieces_is_understood(pair: Any, peers: Any) -> None:
    answered: list[Any] = []

    async def pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = Frames(ConnectionType.SERVER)
        writer.write(frames.send(Ping(payload=b"there?")))
        frames.receive_data(await reader.read(1 << 16))
        answered.extend(frames.events())
        for piece, last in (("al", False), ("l", True)):
            writer.write(frames.send(TextMessage(data=piece, message_finished=last)))
        frames.receive_data(await reader.read(1 << 16))
        for event in frames.events():
            answered.append(event)
            writer.write(frames.send(event.response()))

    async with peers(accepts(pings)) as address:
        seen = await send(pair, "pings", address, body=m.Body(text="x"))
    assert (seen.ending, seen.body_start, seen.messages) == (E.ANSWERED, "all", 1)
    assert answered == [Pong(payload=b"there?"), CloseConnection(code=1000, reason="")]


class Slow:
    """A connection that sends byte by byte, and receives what it was given."""

    def __init__(self, *received: bytes) -> None:
        self.sent = b""
        self._received = list(received)

    async def send(self, data: bytes) -> None:
        for byte in data:
            await asyncio.sleep(0)
            self.sent += bytes([byte])

    async def receive(self) -> bytes:
        await asyncio.sleep(0)
        return self._received.pop(0)

    def close(self) -> None:
        pass


async def test_a_pong_waits_for_the_end_of_the_message_under_way(pair: Any) -> None:
    peer = Frames(ConnectionType.SERVER)
    wire = Slow(peer.send(Ping(payload=b"p")), peer.send(BytesMessage(data=b"long")))
    request = pair.request("slow-wire", "ws", protocol=WS)
    await WebSocket(wire, Frames(ConnectionType.CLIENT)).echo(b"long", ExchangeRecorder(request))
    peer.receive_data(wire.sent)
    assert [bytes(event.data if isinstance(event, BytesMessage) else event.payload) for event in peer.events()] == [
        b"long",
        b"p",
    ]


async def test_a_stream_that_the_peer_has_closed_says_so(pair: Any, peers: Any) -> None:
    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(Frames(ConnectionType.SERVER).send(BytesMessage(data=b"meshcheck")))
        await reader.read(1 << 16)
        writer.write(b"\x88\x02\x03\xe9")
        await reader.read()

    async with peers(accepts(leaves)) as address:
        opening = pair.request("ws-left", address, protocol=WS)
        replies = [await pair.client.call(m.OpenStream(opening))]
        replies += [await pair.client.call(m.EchoOnStream("ws-left", m.Body(text="x"))) for _ in range(2)]
        assert await pair.client.call(m.CloseStream("ws-left")) == m.Done()
    seen = [(reply.exchange.ending, reply.exchange.detail) for reply in replies]
    assert seen == [
        (E.ANSWERED, ""),
        (E.CLOSED, "closed with code 1001"),
        (E.CLOSED, "the peer had closed before"),
    ]


async def opened(pair: Any, request_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Frames]:
    """A connection of the test's own to the server, upgraded."""
    reader, writer = await asyncio.open_connection(*pair.ports["ws"])
    writer.write(
        f"GET / HTTP/1.1\r\nhost: a\r\nx-meshcheck-id: {request_id}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n".encode()
    )
    # The example of RFC 6455, 1.3.
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer, Frames(ConnectionType.CLIENT)


async def test_the_server_answers_pings_and_a_close_frame_without_code(pair: Any) -> None:
    reader, writer, frames = await opened(pair, "pinged")
    writer.write(frames.send(Ping(payload=b"p")) + b"\x88\x80mask")
    frames.receive_data(await reader.read())
    assert [type(event) for event in frames.events()] == [Pong, CloseConnection]
    (attempt,) = await pair.ended("pinged")
    assert attempt.ending is A.ANSWERED
    writer.close()


async def test_a_client_that_leaves_without_a_close_frame_has_cancelled(pair: Any) -> None:
    _, writer, frames = await opened(pair, "left")
    writer.write(frames.send(BytesMessage(data=b"half", message_finished=False)))
    writer.close()
    (attempt,) = await pair.ended("left")
    assert (attempt.ending, attempt.detail, attempt.body_length) == (
        A.CANCELLED,
        "the peer closed the connection",
        4,
    )


async def test_frames_that_are_none_are_written_down_and_answered_with_a_close_frame(pair: Any) -> None:
    reader, writer, frames = await opened(pair, "unmasked")
    writer.write(b"\x82\x01x")
    frames.receive_data(await reader.read())
    (attempt,) = await pair.ended("unmasked")
    assert (attempt.ending, attempt.detail.startswith("not WebSocket: ")) == (A.CUT, True)
    assert [event.code for event in frames.events() if isinstance(event, CloseConnection)] == [1002]
    writer.close()


async def test_a_stream_stays_open_and_closes_in_order(pair: Any) -> None:
    opening = pair.request("ws-stream", "ws", protocol=WS)
    replies = [await pair.client.call(m.OpenStream(opening))]
    replies += [
        await pair.client.call(m.EchoOnStream("ws-stream", m.Body(length=length, seed=1))) for length in (1, 99)
    ]
    assert [reply.exchange.ending for reply in replies] == [E.ANSWERED] * 3
    assert replies[-1].exchange.body_sha256 == hashlib.sha256(seeded_bytes(1, 99)).hexdigest()
    (attempt,) = await pair.ledger("ws-stream")
    assert attempt.ending is A.OPEN
    await pair.client.call(m.CloseStream("ws-stream"))
    (attempt,) = await pair.ended("ws-stream")
    assert attempt.ending is A.ANSWERED


async def test_a_stream_whose_upgrade_is_refused_does_not_open(pair: Any) -> None:
    await pair.script("no-ws-stream", m.Answer(status=403))
    reply = await pair.client.call(m.OpenStream(pair.request("no-ws-stream", "ws", protocol=WS)))
    assert (reply.exchange.ending, reply.exchange.status) == (E.CLOSED, 403)
    assert isinstance(await pair.client.call(m.EchoOnStream("no-ws-stream", m.Body())), m.Failed)


async def test_a_load_of_websockets_is_good_where_each_was_served(pair: Any) -> None:
    await pair.script("ws-load-1", m.Answer(status=403))
    template = pair.request("", "ws", protocol=WS)
    plan = m.LoadPlan(request_id="ws-load", template=template, rate=50, seconds=0.1)
    assert await pair.client.call(m.StartLoad(plan)) == m.Done()
    result = (await pair.client.call(m.FinishLoad("ws-load"))).result
    assert result.statuses == (101, 403, 101, 101, 101)
    outcome = outcome_of(await pair.ledger("ws-load-", prefix=True), result)
    assert [name for name, _ in outcome.failed] == ["ws-load-1"]


async def test_what_is_served_is_looked_at_as_with_other_protocols(pair: Any) -> None:
    polls = [
        m.Poll(request=pair.request(name, "ws", protocol=WS, headers=headers), examined=examined, expected=expected)
        for name, examined, headers, expected in (
            ("ws-served", m.Property.SERVED, (), True),
            ("ws-marked", m.Property.POLICIES, ((m.POLICIES_HEADER, "mark"),), "mark"),
        )
    ]
    assert all(result.convincing for result in await pair.watch(*polls))
