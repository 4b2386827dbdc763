"""TLS as a client, over memory BIOs: the peer's certificates, the negotiated parameters, and the alerts received."""

import asyncio
import contextlib
import ssl
from typing import Any

from pytest_meshcheck.probe.client.connection import Plain
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.client.sessions import SESSIONS
from pytest_meshcheck.probe.client.tls_messages import ALERT, ALERTS, HANDSHAKE, Handshake, agreed_group
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import ClientTls, Ending, Tls

CHUNK = 1 << 16

VERDICT_BEFORE_WRITING = 0.05
"""Seconds that a server which asked for a certificate gets to refuse it before anything is written (TLS 1.3)."""


class Secure:
    """A connection with TLS."""

    def __init__(self, plain: Plain, tls: ClientTls) -> None:
        context = SESSIONS.context(tls)
        # The only place where OpenSSL reports the alert received and the handshake's messages.
        context._msg_callback = self._message  # type: ignore[attr-defined]
        self._plain = plain
        self._settings = tls
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(
                self._incoming, self._outgoing, server_hostname=tls.server_name, session=SESSIONS.of(tls)
            )
        except ValueError as error:
            raise ProbeFault(f"server name {tls.server_name!r} cannot be sent: {error}") from error
        self._sending = asyncio.Lock()
        self._pending = bytearray()
        self._alert: str | None = None
        self._group = ""
        self._asked = False
        self._accepted = False
        self._is_established = False

    async def shake_hands(self, recorder: ExchangeRecorder) -> None:
        """Make the handshake.

        Raises:
            Ended: The peer refused with an alert, broke off, or does not speak this protocol.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed_handshake(recorder)
                continue
            except ssl.SSLError as error:
                await self._flush()
                raise self._refusal() or Ended(Ending.HANDSHAKE_FAILED, error.reason or str(error)) from error
            await self._flush()
            self._is_established = True
            recorder.tls = self.agreed()
            return

    async def verdict(self, seconds: float = VERDICT_BEFORE_WRITING, *, always: bool = False) -> None:
        """Give the server time to refuse the client's certificate, which TLS 1.3 does after the handshake.

        A session ticket ends the wait, since it comes after the certificate was accepted. Without ``always`` there is
        no wait where the server did not ask for a certificate.

        Raises:
            Ended: An alert came.
            ConnectionResetError: The connection was reset.
        """
        if self._tls.version() != "TLSv1.3" or not (self._asked or always):
            return
        try:
            async with asyncio.timeout(seconds):
                while not self._accepted and (data := await self.receive(or_accepted=True)):
                    self._pending += data
        except TimeoutError:
            return

    def agreed(self) -> Tls:
        """The parameters negotiated in the handshake."""
        cipher = self._tls.cipher()
        return Tls(
            version=self._tls.version() or "",
            cipher=cipher[0] if cipher else "",
            group=self._group,
            alpn=self._tls.selected_alpn_protocol() or "",
            chain=shown_chain(self._tls),
            resumed=bool(self._tls.session_reused),
        )

    async def send(self, data: bytes) -> None:
        """Send bytes; a broken connection shows itself on receiving."""
        # After an alert, or the end of the stream, OpenSSL writes no more; the receiver has the reason.
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._tls.write(data)
        await self._flush()

    async def receive(self, *, or_accepted: bool = False) -> bytes:
        """Bytes, or nothing at the end of stream.

        Raises:
            Ended: An alert came, or bytes that are no TLS.
            ConnectionResetError: The connection was reset.
        """
        if self._pending and not or_accepted:
            data = bytes(self._pending)
            self._pending.clear()
            return data
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                if or_accepted and self._accepted:
                    return b""
                await self._flush()
                await self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise self._refusal() or Ended(Ending.MALFORMED, error.reason or str(error)) from error

    def close(self) -> None:
        """Close both halves, without a closing alert."""
        self._plain.close()

    def keep_session(self) -> None:
        """Keep the session for later connections, where that was asked for; TLS 1.3 has one once a ticket has come."""
        if self._settings.session and self._is_established:
            SESSIONS.keep(self._settings, self._tls.session)

    async def _flush(self) -> None:
        async with self._sending:
            if data := self._outgoing.read():
                await self._plain.send(data)

    async def _feed(self) -> None:
        data = await self._plain.receive()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _feed_handshake(self, recorder: ExchangeRecorder) -> None:
        try:
            data = await self._plain.receive()
        except ConnectionResetError as reset:
            raise recorder.cut(f"during the TLS handshake: {reset.strerror}", reset=True) from reset
        if not data:
            raise recorder.cut("during the TLS handshake", reset=False)
        self._incoming.write(data)

    def _refusal(self) -> Ended | None:
        return None if self._alert is None else Ended(Ending.ALERT, self._alert)

    def _message(self, _tls: object, direction: str, _version: Any, content: int, kind: int, data: bytes) -> None:
        if direction != "read":
            return
        if content == ALERT and kind != 0:
            self._alert = ALERTS.get(kind, f"alert {int(kind)}")
        elif content == HANDSHAKE:
            self._group = agreed_group(kind, data) or self._group
            self._asked |= kind == Handshake.CERTIFICATE_REQUEST
            self._accepted |= kind == Handshake.NEW_SESSION_TICKET


def shown_chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain that the server showed, DER; public from Python 3.13 on, behind an underscore before."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain() or ())
    chain = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]
    return tuple(certificate.public_bytes(_DER) for certificate in chain)


_DER = 2
"""``_ssl.ENCODING_DER``."""
