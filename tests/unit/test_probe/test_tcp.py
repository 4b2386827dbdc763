"""TCP, endings of every kind, and streams that stay open."""

import asyncio
import hashlib
import socket
from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.body import seeded_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

B = m.Behaviour
TCP = m.Protocol.TCP
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"


@pytest.mark.parametrize("length", [1, 65_537, 1 << 22])
@pytest.mark.parametrize(("port", "at_once"), [("tcp", False), ("banner", False), ("banner", True)])
async def test_what_is_sent_comes_back(pair: Any, *, length: int, port: str, at_once: bool) -> None:
    request_id = f"{port}-{at_once}-{length}"
    banner, body = port == "banner", m.Body(length=length, seed=5)
    seen = await pair.send(request_id, port, protocol=TCP, server_first=banner, at_once=at_once, body=body)
    (attempt,) = await pair.ended(request_id)
    digest = hashlib.sha256(seeded_bytes(5, length)).hexdigest()
    assert (seen.ending, seen.body_length, seen.body_sha256) == (m.Ending.ANSWERED, length, digest)
    assert (attempt.body_length, attempt.body_sha256, attempt.number) == (length, digest, 1)
    assert attempt.ending is m.AttemptEnding.ANSWERED


async def test_a_client_without_body_still_says_enough(pair: Any) -> None:
    assert (await pair.send("tcp-empty", "tcp", protocol=TCP)).body_start == "meshcheck"


@pytest.mark.parametrize(
    ("behaviour", "ending"),
    [(B.RESET, m.Ending.RESET), (B.CLOSE, m.Ending.CLOSED), (B.STALL, m.Ending.TIMED_OUT)],
)
async def test_the_server_cuts_connections_as_scripted(pair: Any, behaviour: m.Behaviour, ending: m.Ending) -> None:
    await pair.script(f"tcp-{behaviour}", m.Answer(behaviour=behaviour))
    seen = await pair.send(f"tcp-{behaviour}", "tcp", protocol=TCP, patience=0.3 if behaviour is B.STALL else 20)
    (attempt,) = await pair.ended(f"tcp-{behaviour}")
    assert seen.ending is ending
    assert attempt.ending in (m.AttemptEnding.CUT, m.AttemptEnding.CANCELLED)


async def test_half_close_is_honoured(pair: Any) -> None:
    reader, writer = await asyncio.open_connection(*pair.ports["tcp"])
    writer.write(b"meshcheck-id:half\nall of it")
    writer.write_eof()
    assert await reader.read() == b"all of it"
    writer.close()


async def test_a_connection_that_never_says_its_id_is_written_down(pair: Any) -> None:
    reader, writer = await asyncio.open_connection(*pair.ports["tcp"])
    local = writer.get_extra_info("sockname")
    writer.write(b"hello there\n")
    assert await reader.readexactly(12) == b"hello there\n"
    (attempt,) = [a for a in await pair.ledger("") if a.peer == local]
    assert (attempt.request_id, attempt.number, attempt.body_length) == ("", 0, 12)
    writer.close()


async def test_nobody_listens(pair: Any, unused: tuple[str, int]) -> None:
    assert (await pair.send("nobody", unused)).ending is m.Ending.CONNECT_REFUSED


async def test_no_such_name(pair: Any) -> None:
    assert (await pair.send("nowhere", ("no-such-host.invalid", 80))).ending is m.Ending.UNREACHABLE


async def test_no_answer_to_the_connection_attempt(pair: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        seen = await pair.send("full", address, patience=0.3)
        for filler in fillers:
            filler.close()
    assert seen.ending is m.Ending.UNREACHABLE


@pytest.mark.parametrize(
    ("said", "then", "ending"),
    [
        (b"", "close", m.Ending.CLOSED),
        (b"", "reset", m.Ending.RESET),
        (b"", "silent", m.Ending.TIMED_OUT),
        (HEAD, "close", m.Ending.TRUNCATED),
        (HEAD, "silent", m.Ending.TIMED_OUT),
        (HEAD[:12], "close", m.Ending.TRUNCATED),
        (b"HTTP/1.1 103 Early\r\n\r\n", "close", m.Ending.CLOSED),
        (b"what?\r\n\r\n", "close", m.Ending.MALFORMED),
        (b"SSH-2.0-x\r\n\r\n", "silent", m.Ending.MALFORMED),
    ],
)
async def test_how_an_exchange_over_http1_ends(
    pair: Any, *, peers: Any, misbehaving: Any, said: bytes, then: str, ending: m.Ending
) -> None:
    async with peers(misbehaving(said, then=then)) as address:
        seen = await pair.send("ends", address, patience=0.5 if then == "silent" else 20)
    assert seen.ending is ending, seen.detail


async def test_a_reset_within_an_answer_truncates_it(pair: Any, peers: Any, misbehaving: Any) -> None:
    async with peers(misbehaving(HEAD, then="reset")) as address:
        seen = await pair.send("reset-within", address)
    # The kernel may drop bytes that a reset overtakes.
    assert seen.ending in (m.Ending.TRUNCATED, m.Ending.RESET)


@pytest.mark.parametrize("protocol", [m.Protocol.H2C, TCP])
@pytest.mark.parametrize(("then", "ending"), [("close", m.Ending.CLOSED), ("reset", m.Ending.RESET)])
async def test_how_other_exchanges_end(
    pair: Any, *, peers: Any, misbehaving: Any, protocol: m.Protocol, then: str, ending: m.Ending
) -> None:
    async def one_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # All of the request is read first: closing with unread bytes would reset the connection.
        if protocol is m.Protocol.H2C:
            await reader.readuntil(b"\x00\x00\x00\x01")
        await misbehaving(b"", then=then)(reader, writer)

    async with peers(misbehaving(b"", then=then) if protocol is TCP else one_read) as address:
        assert (await pair.send("other", address, protocol=protocol)).ending is ending


async def test_http2_against_something_else_is_malformed(pair: Any, peers: Any, misbehaving: Any) -> None:
    async with peers(misbehaving(b"HTTP/1.1 400 Bad Request\r\n\r\n", then="silent")) as address:
        assert (await pair.send("h2-else", address, protocol=m.Protocol.H2C)).ending is m.Ending.MALFORMED


async def test_an_answer_that_is_no_echo_is_malformed(pair: Any, peers: Any) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await reader.readexactly(len("meshcheck"))
        writer.write(b"HTTP/1.1 400 Bad Request")
        writer.close()

    async with peers(answers) as address:
        seen = await pair.send("no-echo", address, protocol=m.Protocol.TCP)
    assert (seen.ending, seen.served) == (m.Ending.MALFORMED, False)


async def test_a_wrong_banner_is_malformed(pair: Any, peers: Any) -> None:
    async def greets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        writer.close()

    async with peers(greets) as address:
        seen = await pair.send("banner", address, protocol=TCP, server_first=True)
    assert seen.ending is m.Ending.MALFORMED
    assert "220 mail" in seen.detail


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_banner_is_no_echo(pair: Any, peers: Any, *, at_once: bool) -> None:
    async def greets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(m.TCP_BANNER)
        writer.close()

    async with peers(greets) as address:
        seen = await pair.send("banner-alone", address, protocol=TCP, server_first=True, at_once=at_once)
    assert seen.ending in (m.Ending.CLOSED, m.Ending.RESET)


async def test_an_answer_is_read_although_the_write_fails(pair: Any, peers: Any) -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with peers(refuses) as address:
        seen = await pair.send("too-large", address, method="POST", body=m.Body(length=64 << 20), patience=30)
    assert (seen.ending, seen.status) == (m.Ending.ANSWERED, 413)


@pytest.mark.parametrize(("port", "protocol"), [("tcp", TCP), ("grpc", m.Protocol.GRPC)])
async def test_a_stream_stays_open_and_echoes(pair: Any, port: str, protocol: m.Protocol) -> None:
    request = m.Request(
        request_id=f"stream-{port}", address=pair.ports[port], protocol=protocol, kind="bidi", authority="server"
    )
    opened = await pair.client.call(m.OpenStream(request))
    first = await pair.client.call(m.EchoOnStream(request.request_id, m.Body(length=100, seed=1)))
    second = await pair.client.call(m.EchoOnStream(request.request_id, m.Body(length=200_000, seed=2)))
    assert [reply.exchange.ending for reply in (opened, first, second)] == [m.Ending.ANSWERED] * 3
    assert second.exchange.body_sha256 == hashlib.sha256(seeded_bytes(2, 200_000)).hexdigest()
    (attempt,) = await pair.ledger(request.request_id)
    assert attempt.ending is m.AttemptEnding.OPEN
    assert await pair.client.call(m.CloseStream(request.request_id)) == m.Done()
    (attempt,) = await pair.ended(request.request_id)
    assert attempt.ending is not m.AttemptEnding.OPEN
    assert isinstance(await pair.client.call(m.EchoOnStream(request.request_id, m.Body())), m.Failed)


@pytest.mark.parametrize(("behaviour", "ending"), [(B.RESET, m.Ending.RESET), (B.CLOSE, m.Ending.CLOSED)])
async def test_a_stream_that_does_not_open_says_why(pair: Any, behaviour: m.Behaviour, ending: m.Ending) -> None:
    await pair.script(f"no-{behaviour}", m.Answer(behaviour=behaviour))
    request = m.Request(request_id=f"no-{behaviour}", address=pair.ports["tcp"], protocol=TCP)
    assert (await pair.client.call(m.OpenStream(request))).exchange.ending is ending


async def test_a_stream_whose_peer_went_says_so(pair: Any, peers: Any) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readuntil(b"meshcheck")
        writer.write(data.partition(b"\n")[2] if b"\n" in data else data)
        await reader.read(1)
        writer.close()

    async with peers(once) as address:
        request = m.Request(request_id="went", address=address, protocol=TCP)
        assert (await pair.client.call(m.OpenStream(request))).exchange.ending is m.Ending.ANSWERED
        echo = await pair.client.call(m.EchoOnStream("went", m.Body(text="x")))
        await pair.client.call(m.CloseStream("went"))
    assert echo.exchange.ending is m.Ending.CLOSED
