"""The sockets of a client, so that none outlives its event loop."""

import asyncio
import contextlib
import socket
from weakref import WeakSet

from aiohttp import AddrInfoType

CHECKS, PAUSE = 500, 0.01
"""Checks, and seconds between them, whether a socket is closed."""


class Sockets:
    """A socket factory for aiohttp that knows which of its sockets are open.

    aiohttp forgets a connection that it does not use again, e.g. after ``Connection: close`` or an ended stream, before
    the peer has closed its end of TLS. asyncio reports such a connection as unclosed if the event loop ends first.
    """

    def __init__(self) -> None:
        self._created: WeakSet[socket.socket] = WeakSet()

    def __call__(self, address: AddrInfoType) -> socket.socket:
        """Create a socket for a resolved address."""
        created = socket.socket(*address[:3])
        self._created.add(created)
        return created

    async def close(self) -> None:
        """End what is open without waiting for the peer, and wait until asyncio has closed it, for at most 5 s."""
        for one in self._open():
            with contextlib.suppress(OSError):  # the peer was faster
                one.shutdown(socket.SHUT_RDWR)
        for _ in range(CHECKS):
            if not self._open():
                return
            await asyncio.sleep(PAUSE)

    def _open(self) -> list[socket.socket]:
        return [one for one in self._created if one.fileno() != -1]
