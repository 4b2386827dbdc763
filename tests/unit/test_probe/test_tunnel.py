"""Connections inside the stream of an HTTP/2 CONNECT, from probe to probe, and peers that refuse them."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
import pytest_asyncio
from hyperframe.frame import GoAwayFrame

from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.body import seeded_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

E = m.Ending
LARGE = 3 << 20
"""Bytes: more than any of the windows on the way."""


@pytest.fixture(scope="module")
def credentials() -> m.Credentials:
    return Authority("cluster.local").issue("spiffe://cluster.local/ns/grey/sa/impostor", 3600.0)


@pytest_asyncio.fixture(loop_scope="module")
async def behind(pair: Any, unused: tuple[str, int], credentials: m.Credentials) -> AsyncIterator[Any]:
    """Serves a port of this protocol behind tunnels, and says how to get there; its own number is never open."""

    async def serve(protocol: m.Protocol, **listen: Any) -> dict[str, Any]:
        tls = m.ServerTls(credentials=credentials, tunnel=unused[1])
        port = m.Listen(port=f"behind {protocol}", address=(unused[0], 8080), protocol=protocol, tls=tls, **listen)
        assert await pair.server.call(m.Serve("server-1", (port,))) == m.Done()
        served.append(port.port)
        return {"port": unused, "protocol": protocol, "tls": through("10.0.0.1:8080")}

    served: list[str] = []
    yield serve
    assert await pair.server.call(m.CloseListener(served[-1])) == m.Done()


def through(authority: str) -> m.ClientTls:
    return m.ClientTls(alpn=("h2",), tunnel=authority)


@pytest.mark.parametrize("protocol", [m.Protocol.HTTP1, m.Protocol.H2C])
@pytest.mark.parametrize("length", [0, LARGE])
async def test_bodies_arrive_whole(pair: Any, behind: Any, protocol: m.Protocol, length: int) -> None:
    request_id = f"tunnel-{protocol}-{length}"
    await pair.script(request_id, m.Answer(body=m.Body(length=length, seed=8)))
    body = m.Body(length=length, seed=7)
    seen = await pair.send(request_id, **await behind(protocol), method="POST", body=body)
    (attempt,) = await pair.ledger(request_id)
    assert (attempt.body_length, attempt.body_sha256) == (length, hashlib.sha256(seeded_bytes(7, length)).hexdigest())
    assert (seen.body_length, seen.body_sha256) == (length, hashlib.sha256(seeded_bytes(8, length)).hexdigest())
    assert (seen.status, seen.tls.alpn) == (200, "h2")
    assert (attempt.protocol, attempt.port, attempt.peer) == (protocol, f"behind {protocol}", tuple(seen.local))


async def test_grpc_in_terms_of_http2(pair: Any, behind: Any) -> None:
    way = await behind(m.Protocol.GRPC) | {"protocol": m.Protocol.H2C}
    call = {"method": "POST", "path": "/meshcheck.Probe/Unary", "headers": (("content-type", "application/grpc"),)}
    seen = await pair.send("tunnel-grpc", **way, **call, body=m.Body(text="\0\0\0\0\0"))
    (attempt,) = await pair.ledger("tunnel-grpc")
    assert (seen.ending, seen.grpc_status, attempt.protocol) == (E.ANSWERED, 0, m.Protocol.GRPC)


@pytest.mark.parametrize("length", [0, LARGE])
async def test_tcp_is_echoed(pair: Any, behind: Any, length: int) -> None:
    seen = await pair.send("tunnel-tcp", **await behind(m.Protocol.TCP), body=m.Body(length=length, seed=3))
    assert seen.ending is E.ANSWERED
    assert seen.body_length == length or not length


async def test_a_server_that_speaks_first_is_heard(pair: Any, behind: Any) -> None:
    way = await behind(m.Protocol.TCP, server_first=True)
    assert (await pair.send("tunnel-banner", **way, server_first=True)).ending is E.ANSWERED


@pytest.mark.parametrize(
    ("behaviour", "ending", "detail"),
    [
        (m.Behaviour.RESET, E.RESET, "RST_STREAM CANCEL of the tunnel"),
        (m.Behaviour.CLOSE, E.CLOSED, "the peer closed the connection"),
    ],
)
async def test_what_the_server_cuts_is_cut(
    pair: Any, behind: Any, behaviour: m.Behaviour, ending: m.Ending, detail: str
) -> None:
    await pair.script(f"tunnel-{behaviour}", m.Answer(behaviour=behaviour))
    seen = await pair.send(f"tunnel-{behaviour}", **await behind(m.Protocol.HTTP1))
    assert (seen.ending, seen.detail) == (ending, detail)


async def test_a_client_that_gives_up_is_noticed(pair: Any, behind: Any) -> None:
    await pair.script("tunnel-stall", m.Answer(behaviour=m.Behaviour.STALL))
    seen = await pair.send("tunnel-stall", **await behind(m.Protocol.HTTP1), patience=0.3)
    (attempt,) = await pair.ended("tunnel-stall")
    assert (seen.ending, attempt.ending) == (E.TIMED_OUT, m.AttemptEnding.CANCELLED)


async def test_another_port_is_not_reached(pair: Any, behind: Any) -> None:
    way = await behind(m.Protocol.HTTP1) | {"tls": through("10.0.0.1:8081")}
    seen = await pair.send("tunnel-elsewhere", **way)
    assert (seen.ending, seen.detail) == (E.TUNNEL_REFUSED, "CONNECT 10.0.0.1:8081: status 503")
    assert await pair.ledger("tunnel-elsewhere") == ()


async def test_the_tunnels_of_one_number_lead_to_the_port_served_last(pair: Any, behind: Any) -> None:
    first = await behind(m.Protocol.HTTP1)
    second = await behind(m.Protocol.TCP)
    assert (await pair.send("tunnel-second", **second)).ending is E.ANSWERED
    assert (await pair.send("tunnel-first", **first)).ending is not E.ANSWERED


async def test_without_a_tunnel_nothing_is_reached(pair: Any, behind: Any) -> None:
    way = await behind(m.Protocol.H2C) | {"tls": m.ClientTls(alpn=("h2",))}
    seen = await pair.send("no-tunnel", **way)
    assert (seen.ending, seen.status) == (E.ANSWERED, 400)
    assert await pair.ledger("no-tunnel") == ()


Answer = Callable[[h2.connection.H2Connection], bytes]


def status(code: int) -> Answer:
    def answer(http: h2.connection.H2Connection) -> bytes:
        http.send_headers(1, [(":status", str(code))], end_stream=True)
        return bytes(http.data_to_send())

    return answer


def reset(http: h2.connection.H2Connection) -> bytes:
    http.reset_stream(1, h2.errors.ErrorCodes.REFUSED_STREAM)
    return bytes(http.data_to_send())


def goaway(last_stream: int, code: h2.errors.ErrorCodes) -> Answer:
    return lambda http: bytes(http.data_to_send()) + GoAwayFrame(0, last_stream, code).serialize()


def nothing(http: h2.connection.H2Connection) -> bytes:
    return bytes(http.data_to_send())


def no_http2(_http: h2.connection.H2Connection) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


@asynccontextmanager
async def answering(peers: Any, credentials: m.Credentials, folder: Path, answer: Answer) -> AsyncIterator[Any]:
    """A peer that answers the first CONNECT so, and then closes the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "peer.pem").write_bytes(credentials.key + credentials.chain)
    context.load_cert_chain(folder / "peer.pem")
    context.set_alpn_protocols(["h2"])

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, validate_inbound_headers=False))
        events: list[h2.events.Event] = []
        while not any(isinstance(event, h2.events.RequestReceived) for event in events):
            events = http.receive_data(await reader.read(1 << 16))
        http.initiate_connection()
        writer.write(answer(http))
        await writer.drain()
        writer.close()

    async with peers(peer, ssl=context) as address:
        yield address


@pytest.mark.parametrize(
    ("answer", "ending", "detail"),
    [
        (status(401), E.TUNNEL_REFUSED, "CONNECT a:1: status 401"),
        (status(503), E.TUNNEL_REFUSED, "CONNECT a:1: status 503"),
        (status(200), E.CLOSED, "the peer closed the connection"),
        (reset, E.RESET, "RST_STREAM REFUSED_STREAM of the tunnel"),
        (goaway(0, h2.errors.ErrorCodes.NO_ERROR), E.RESET, "GOAWAY NO_ERROR of the tunnel"),
        (goaway(1, h2.errors.ErrorCodes.PROTOCOL_ERROR), E.RESET, "GOAWAY PROTOCOL_ERROR of the tunnel"),
        (
            goaway(1, h2.errors.ErrorCodes.NO_ERROR),
            E.CLOSED,
            "the peer closed the connection before it answered CONNECT",
        ),
        (nothing, E.CLOSED, "the peer closed the connection before it answered CONNECT"),
        (no_http2, E.MALFORMED, "not HTTP/2: b'HTTP/1.1 '"),
    ],
)
async def test_how_a_tunnel_is_refused(
    pair: Any, *, peers: Any, credentials: m.Credentials, tmp_path: Path, answer: Answer, ending: m.Ending, detail: str
) -> None:
    async with answering(peers, credentials, tmp_path, answer) as address:
        seen = await pair.send("refused", address, tls=through("a:1"))
    assert (seen.ending, seen.detail, seen.status) == (ending, detail, None)
