"""Envoy's administration interface on a Unix socket (https://www.envoyproxy.io/docs/envoy/latest/operations/admin)."""

import asyncio
from pathlib import Path

import h11


class AdminSocket:
    """One persistent connection with sequential requests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._protocol = h11.Connection(h11.CLIENT)

    async def get(self, target: str, method: str = "GET") -> bytes:
        """The response body; whatever changes something needs the method POST.

        Raises:
            OSError: Nobody listens, or the connection broke.
        """
        async with self._lock:
            try:
                return await self._get(target, method)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None
        self._protocol = h11.Connection(h11.CLIENT)

    async def _get(self, target: str, method: str) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self.path))
        reader, writer = self._streams
        request = h11.Request(method=method, target=target, headers=[("host", "admin")])
        head, end = self._protocol.send(request), self._protocol.send(h11.EndOfMessage())
        writer.write((head or b"") + (end or b""))
        body = bytearray()
        while not isinstance(event := self._protocol.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                if not data:
                    raise ConnectionResetError(f"Envoy closed its administration socket {self.path}")
                self._protocol.receive_data(data)
            elif isinstance(event, h11.Data):
                body += event.data
        self._protocol.start_next_cycle()
        return bytes(body)
