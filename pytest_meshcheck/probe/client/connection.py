"""A client's connection: dialled once, never pooled, and exact about how it ended."""

import asyncio
import errno
import os
import socket
from types import TracebackType
from typing import Any, Protocol, Self

from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Ending

CHUNK = 1 << 16

UNREACHABLE = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENETDOWN, errno.EACCES, errno.EPERM}
)
"""Errors of connect(2) for an unreachable address; EPERM and EACCES are a packet filter's."""

RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EHOSTUNREACH})


class Connection(Protocol):
    """A connection, with or without TLS."""

    async def send(self, data: bytes) -> None:
        """Send bytes. A broken connection shows itself on receiving, after all that the peer has said."""

    async def receive(self) -> bytes:
        """Bytes, or nothing at the peer's end of stream; ConnectionResetError if it was reset."""

    def close(self) -> None:
        """Close both halves."""


class Plain:
    """A connection without TLS.

    Sockets are used bare, because a stream that drops unread bytes when a write fails would lose early answers and
    alerts.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._broken: OSError | None = None

    async def send(self, data: bytes) -> None:
        """Send bytes; a failure is kept for ``receive``."""
        if self._broken is not None:
            return
        try:
            await self._loop.sock_sendall(self._socket, data)
        except OSError as error:
            if error.errno not in RESETS:
                raise
            self._broken = error

    async def receive(self) -> bytes:
        """Bytes, or nothing at the peer's end of stream; ConnectionResetError if it was reset.

        Whoever gives up waiting loses nothing: what has come by then is there for the next who asks.
        """
        try:
            data = await self._next()
        except OSError as error:
            if error.errno not in RESETS:
                raise
            raise ConnectionResetError(error.errno, error.strerror) from error
        if not data and self._broken is not None:
            raise ConnectionResetError(self._broken.errno, self._broken.strerror)
        return data

    async def _next(self) -> bytes:
        # Not sock_recv, which reads before its caller goes on: a timeout in between would drop the bytes read.
        while True:
            try:
                return self._socket.recv(CHUNK)
            except BlockingIOError:
                await self._readable()

    async def _readable(self) -> None:
        ready = asyncio.Event()
        self._loop.add_reader(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(self._socket)

    def close(self) -> None:
        """Close both halves."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


async def dial(address: tuple[str, int], recorder: ExchangeRecorder) -> Plain:
    """Connect.

    Raises:
        Ended: The port is closed, or the address unreachable.
        ProbeFault: This machine has no socket, port or memory left for it.
    """
    host, port = address
    family, sockaddr = await resolve(host, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
        recorder.local = sock.getsockname()[:2]
        recorder.remote = sock.getpeername()[:2]
    except OSError as error:
        sock.close()
        raise refusal(error, host, port) from error
    except BaseException:
        sock.close()
        raise
    recorder.connected = True
    return Plain(sock)


async def resolve(host: str, port: int) -> tuple[int, Any]:
    """The family and socket address of a host, which may be a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family, (host, port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Ended(Ending.UNREACHABLE, f"no such name: {host}: {error.strerror}") from error
    return found[0][0], found[0][4]


def refusal(error: OSError, host: str, port: int) -> Exception:
    """The ending that a failure of connect(2) stands for."""
    said = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.ECONNREFUSED:
        return Ended(Ending.CONNECT_REFUSED, said)
    if error.errno in (errno.ECONNRESET, errno.ENOTCONN):  # the latter after connect(2), once the peer has reset it
        return Ended(Ending.RESET, said)
    if error.errno in UNREACHABLE:
        return Ended(Ending.UNREACHABLE, said)
    return ProbeFault(f"cannot dial {host}:{port}: {said}")
