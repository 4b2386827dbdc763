"""An accepted connection: bytes in, bytes out, and detection of a peer that disconnects while idle."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from pytest_meshcheck.probe.protocol.sockets import ABORTIVE

HIGH_WATER = 1 << 20
"""Bytes that may lie unread before the socket is left alone."""


class PeerGone(Exception):
    """The peer closed or reset the connection while it was needed."""


class AcceptedConnection(asyncio.Protocol):
    """One accepted connection, served by one task."""

    def __init__(self, serve: Callable[["AcceptedConnection"], Coroutine[Any, Any, None]]) -> None:
        self._serve = serve
        self._unread = bytearray()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._error: Exception | None = None
        self._ended = False
        self._paused = False
        self._made = False
        self._unwanted = False
        self.transport: asyncio.Transport
        self.peer: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self.peer = (name[0], name[1]) if name else None
        self._made = True
        if self._unwanted:
            self.transport.abort()
        else:
            self._task = asyncio.create_task(self._run())

    def data_received(self, data: bytes) -> None:
        """Buffer the received bytes until they are read."""
        self._unread += data
        self._readable.set()
        if len(self._unread) > HIGH_WATER and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer will say no more; it may still listen, except under TLS."""
        self._leave("the peer closed the connection")
        return self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone in both directions."""
        self._error = exc
        self._leave("the peer closed the connection" if exc is None else f"the connection broke: {exc}")
        self._writable.set()

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The peer caught up."""
        self._writable.set()

    @property
    def gone(self) -> str:
        """Why the peer is gone, or nothing."""
        return self._gone.result() if self._gone.done() else ""

    @property
    def broken(self) -> bool:
        """Whether the connection ended with an error, such as a reset."""
        return self._error is not None

    async def read(self) -> bytes:
        """Whatever came, or nothing once the peer has closed or reset the connection."""
        while not self._unread and not self._ended:
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._unread)
        self._unread.clear()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return data

    def put_back(self, data: bytes) -> None:
        """Have these bytes read again, before all others."""
        self._unread[:0] = data
        self._readable.set()

    async def pause(self, seconds: float | None) -> None:
        """Wait, without end where ``seconds`` is None; PeerGone as soon as the peer goes."""
        if seconds == 0:
            return
        done, _ = await asyncio.wait({self._gone}, timeout=seconds)
        if done:
            raise PeerGone(self.gone)

    async def write(self, data: bytes) -> None:
        """Send bytes and wait while the peer reads too slowly; PeerGone where the connection is lost."""
        self.put(data)
        await self._writable.wait()

    def put(self, data: bytes) -> None:
        """Send bytes without waiting for the peer; PeerGone where the connection is lost."""
        if self.transport.is_closing():
            raise PeerGone(self.gone or "the connection was closed")
        self.transport.write(data)

    async def left(self) -> None:
        """Return once the peer has closed its half, or the connection is gone."""
        await asyncio.shield(self._gone)

    def reset(self) -> None:
        """Drop the connection with a TCP RST; in a tunnel with RST_STREAM."""
        if sock := self.transport.get_extra_info("socket"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
        self.transport.abort()

    def close(self) -> None:
        """Close the connection in order, after all that was written; one that is closed already is no error.

        One whose TLS handshake has not ended is dropped at its end: nothing is served on it.
        """
        if self._made:
            self.transport.close()
        self._unwanted = True

    def finish(self) -> None:
        """Say nothing more, and leave the rest of the closing to the peer, so that it sees no reset; not under TLS."""
        if not self._made:
            self.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    async def _run(self) -> None:
        try:
            # Servers record attempts that a disconnect cut short; for the connection itself it is just the end.
            with suppress(PeerGone):
                await self._serve(self)
        finally:
            self.close()

    def _leave(self, why: str) -> None:
        self._ended = True
        self._readable.set()
        if not self._gone.done():
            self._gone.set_result(why)
