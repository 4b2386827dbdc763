"""TLS as a client: chains, versions, groups, and every alert by its name."""

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pytest_meshcheck.probe.client.connection import Plain
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.client.tls import Secure
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.server.connection import ABORTIVE

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Signer:
    """A small authority."""

    def __init__(self, name: str) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self.name, self.key, NOW + DAY, authority=True)

    def _sign(self, subject: Any, key: Any, end: Any, *, authority: Any) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - 2 * DAY).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def leaf(self, name: str, end: Any = NOW + DAY) -> m.Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, end, authority=False)
        chain = pem(certificate) + pem(self.certificate)
        encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return m.Credentials(chain=chain, key=key.private_bytes(encoding, kind, serialization.NoEncryption()))


def pem(certificate: Any) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def trusted() -> Signer:
    return Signer("trusted")


@pytest.fixture(scope="module")
def stranger() -> Signer:
    return Signer("stranger")


@pytest.fixture
def server_context(trusted: Any, tmp_path: Path) -> ssl.SSLContext:
    """A server that demands a certificate of ``trusted``."""
    credentials = trusted.leaf("server")
    (tmp_path / "server.pem").write_bytes(credentials.key + credentials.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some builds of Python leave it to OpenSSL
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(cadata=pem(trusted.certificate).decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.fixture
def demanding(server_context: ssl.SSLContext) -> Iterator[tuple[str, int]]:
    """Where that server listens. It uses blocking sockets: asyncio drops the alert of a failed handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse_all, args=(listener, server_context))
        thread.start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def refuse_all(listener: Any, context: Any) -> None:
    """Shake hands with every client; serve nobody."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client.dup() as raw:
            with client, contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                secure.settimeout(20)
                secure.recv(1 << 16)
            # A connection that is closed while bytes are unread is reset, and takes the alert with it.
            raw.settimeout(20)
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(1 << 16):
                    pass


PROTOCOLS = [m.Protocol.TLS, m.Protocol.HTTP1, m.Protocol.H2C, m.Protocol.TCP]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("maximum", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(
    ("who", "alerts"),
    [
        ("nobody", {"TLSv1.2": "handshake_failure", "TLSv1.3": "certificate_required"}),
        ("stranger", dict.fromkeys(["TLSv1.2", "TLSv1.3"], "unknown_ca")),
        ("expired", dict.fromkeys(["TLSv1.2", "TLSv1.3"], "certificate_expired")),
    ],
)
async def test_the_alert_is_named(
    pair: Any,
    *,
    demanding: Any,
    trusted: Any,
    stranger: Any,
    protocol: m.Protocol,
    maximum: str,
    who: str,
    alerts: dict[str, str],
) -> None:
    credentials = {"nobody": None, "stranger": stranger.leaf("x"), "expired": trusted.leaf("x", NOW - DAY)}[who]
    tls = m.ClientTls(credentials=credentials, maximum=maximum)
    for _ in range(3):
        seen = await pair.send("alert", demanding, protocol=protocol, tls=tls, authority="a")
        assert (seen.ending, seen.detail) == (m.Ending.ALERT, alerts[maximum])


async def test_an_alert_that_comes_after_writing_is_named_as_well(pair: Any, peers: Any, demanding: Any) -> None:
    async def withholds(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # All is passed on but the server's second flight, the alert, which waits for the client's request.
        answers, server = await asyncio.open_connection(*demanding)
        server.write(await reader.read(1 << 16))
        writer.write(await answers.read(1 << 16))
        server.write(await reader.read(1 << 16))
        alert = await answers.read(1 << 16)
        assert await reader.read(1 << 16)
        writer.write(alert)
        await writer.drain()
        server.close()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
        writer.transport.abort()

    async with peers(withholds) as address:
        seen = await pair.send("late", address, tls=m.ClientTls())
    assert (seen.ending, seen.detail) == (m.Ending.ALERT, "certificate_required")


async def test_a_handshake_reports_what_was_agreed_on(pair: Any, demanding: Any, trusted: Any) -> None:
    tls = m.ClientTls(credentials=trusted.leaf("client"), server_name="a.example", alpn=("h2", "http/1.1"))
    seen = await pair.send("agreed", demanding, protocol=m.Protocol.TLS, tls=tls)
    assert (seen.ending, seen.tls.version, seen.tls.alpn) == (m.Ending.ANSWERED, "TLSv1.3", "http/1.1")
    assert seen.tls.group in ("X25519", "X25519MLKEM768")
    assert seen.tls.cipher.startswith("TLS_")
    leaf, issuer = (x509.load_der_x509_certificate(der) for der in seen.tls.chain)
    assert leaf.subject.rfc4514_string() == "CN=server"
    assert issuer == trusted.certificate


async def test_the_chain_is_read_without_any_certificate_of_ones_own(pair: Any, demanding: Any) -> None:
    seen = await pair.send("read-chain", demanding, protocol=m.Protocol.TLS, tls=m.ClientTls())
    assert seen.ending is m.Ending.ALERT
    assert len(seen.tls.chain) == 2


async def test_old_versions_reach_the_server_which_refuses_them(pair: Any, demanding: Any) -> None:
    tls = m.ClientTls(minimum="TLSv1", maximum="TLSv1.1")
    seen = await pair.send("old", demanding, protocol=m.Protocol.TLS, tls=tls)
    assert (seen.ending, seen.detail) == (m.Ending.ALERT, "protocol_version")


async def test_tls_to_a_plaintext_server(pair: Any, peers: Any, misbehaving: Any) -> None:
    async with peers(misbehaving(b"220 mail ready\r\n", then="silent")) as address:
        seen = await pair.send("plain", address, tls=m.ClientTls())
    assert seen.ending is m.Ending.HANDSHAKE_FAILED


@pytest.mark.parametrize(("then", "ending"), [("close", m.Ending.CLOSED), ("reset", m.Ending.RESET)])
async def test_the_peer_goes_during_the_handshake(
    pair: Any, peers: Any, misbehaving: Any, then: str, ending: m.Ending
) -> None:
    async with peers(misbehaving(b"", then=then)) as address:
        seen = await pair.send("gone", address, protocol=m.Protocol.TLS, tls=m.ClientTls())
    assert seen.ending is ending
    assert "during the TLS handshake" in seen.detail


async def test_malformed_credentials_are_a_failure_of_the_probe(pair: Any) -> None:
    tls = m.ClientTls(credentials=m.Credentials(chain=b"no", key=b"secret-key"))
    error = await pair.fails(request_id="x", address=pair.ports["http"], authority="a", tls=tls)
    assert "credentials" in error
    assert "secret-key" not in error


async def test_unknown_versions_are_a_failure_of_the_probe(pair: Any) -> None:
    error = await pair.fails(
        request_id="x", address=pair.ports["http"], authority="a", tls=m.ClientTls(minimum="SSLv3")
    )
    assert "TLSv1.3" in error


def refuse(server: socket.socket, context: ssl.SSLContext) -> None:
    """Send the alert of a failed handshake."""
    with server, contextlib.suppress(ssl.SSLError):
        context.wrap_socket(server, server_side=True)


async def test_what_is_sent_after_an_alert_is_lost_in_silence(server_context: ssl.SSLContext, stranger: Any) -> None:
    """A request may be under way while the refusal is read."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    recorder = ExchangeRecorder(m.Request(request_id="late", address=("127.0.0.1", 1)))
    with Plain(ours) as plain:
        wire = Secure(plain, m.ClientTls(credentials=stranger.leaf("client")))
        await asyncio.gather(wire.shake_hands(recorder), asyncio.to_thread(refuse, theirs, server_context))
        with pytest.raises(Ended, match="unknown_ca"):
            await wire.receive()
        await wire.send(b"too late")


@pytest_asyncio.fixture(loop_scope="module")
async def secure(pair: Any, unused: tuple[str, int], trusted: Any) -> AsyncIterator[tuple[str, int]]:
    tls = m.ServerTls(credentials=trusted.leaf("impostor"))
    listen = m.Listen(port="secure", address=unused, protocol=m.Protocol.HTTP1, tls=tls)
    assert await pair.server.call(m.Serve("server-1", (listen,))) == m.Done()
    yield unused
    assert await pair.server.call(m.CloseListener("secure")) == m.Done()


@pytest.mark.parametrize("maximum", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(("protocol", "alpn"), [(m.Protocol.HTTP1, "http/1.1"), (m.Protocol.H2C, "h2")])
async def test_a_port_that_speaks_tls_by_itself(
    pair: Any, secure: tuple[str, int], protocol: m.Protocol, alpn: str, maximum: str
) -> None:
    tls = m.ClientTls(alpn=(alpn,), maximum=maximum)
    request_id = f"secure-{alpn}-{maximum}"
    seen = await pair.send(
        request_id, secure, protocol=protocol, tls=tls, method="POST", body=m.Body(length=1 << 20, seed=1)
    )
    (attempt,) = await pair.ledger(request_id)
    assert (seen.status, seen.tls.alpn, seen.tls.version) == (200, alpn, maximum)
    assert seen.tls.group == "X25519"
    assert (attempt.body_length, attempt.protocol) == (1 << 20, protocol)


@pytest.mark.parametrize("maximum", ["TLSv1.2", "TLSv1.3"])
async def test_a_session_is_resumed_under_its_name_alone(pair: Any, secure: tuple[str, int], maximum: str) -> None:
    async def resumed(session: str) -> bool:
        tls = m.ClientTls(maximum=maximum, session=session)
        seen = await pair.send(f"session-{session}-{maximum}", secure, tls=tls)
        assert seen.status == 200
        return bool(seen.tls.resumed)

    names = [f"one-{maximum}", f"one-{maximum}", f"other-{maximum}", "", "", f"one-{maximum}"]
    assert [await resumed(name) for name in names] == [False, True, False, False, False, True]


async def test_a_reset_behind_tls_is_a_reset(pair: Any, secure: tuple[str, int]) -> None:
    await pair.script("secure-reset", m.Answer(behaviour=m.Behaviour.RESET))
    assert (await pair.send("secure-reset", secure, tls=m.ClientTls())).ending is m.Ending.RESET


async def test_a_stall_behind_tls_is_noticed(pair: Any, secure: tuple[str, int]) -> None:
    await pair.script("secure-stall", m.Answer(behaviour=m.Behaviour.STALL))
    seen = await pair.send("secure-stall", secure, tls=m.ClientTls(), patience=0.3)
    (attempt,) = await pair.ended("secure-stall")
    assert (seen.ending, attempt.ending) == (m.Ending.TIMED_OUT, m.AttemptEnding.CANCELLED)


async def test_plaintext_to_a_tls_port_reaches_no_application(pair: Any, secure: tuple[str, int]) -> None:
    seen = await pair.send("plain-to-tls", secure)
    assert seen.ending is not m.Ending.ANSWERED
    assert await pair.ledger("plain-to-tls") == ()


async def test_a_handshake_that_outlasts_its_credentials_is_not_served(
    pair: Any, secure: tuple[str, int], stranger: Any
) -> None:
    reader, writer = await asyncio.open_connection(*secure)
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    peer = context.wrap_bio(received, to_send)
    with pytest.raises(ssl.SSLWantReadError):
        peer.do_handshake()
    writer.write(to_send.read())
    received.write(await reader.read(1 << 16))
    peer.do_handshake()  # of which the server has not seen the end
    listen = m.Listen(
        port="secure", address=secure, protocol=m.Protocol.HTTP1, tls=m.ServerTls(credentials=stranger.leaf("other"))
    )
    assert await pair.server.call(m.Serve("server-1", (listen,))) == m.Done()
    peer.write(b"GET / HTTP/1.1\r\nhost: server\r\nx-meshcheck-id: late\r\n\r\n")
    writer.write(to_send.read())
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 60)  # to the end: the server keeps no such connection
    assert await pair.ledger("late") == ()
    writer.close()
