"""Connections that several exchanges share, by the names that requests give them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol as Interface

from pytest_meshcheck.probe.client.client import module_of, observe
from pytest_meshcheck.probe.client.exchange import ExchangeRecorder
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Exchange, Protocol, Request


class Kept(Interface):
    """A connection that stays open; ``exchange`` is like ``client.Speaker``."""

    async def exchange(self, request: Request, recorder: ExchangeRecorder) -> None:
        """Make an exchange on it."""

    async def close(self) -> None:
        """Close it."""


Keeper = Callable[[Request, ExchangeRecorder], Awaitable[Kept]]
"""Dials the connection of a request, and sends nothing yet."""

Address = tuple[str, int]

KEPT = ", ".join(protocol for protocol in Protocol if protocol.facts.kept)


@dataclass
class KeptConnections:
    """The kept connections by their names, each with its two ends."""

    _open: dict[str, tuple[Kept, Address | None, Address | None]] = field(default_factory=dict)
    _dialling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def exchange(self, request: Request, resumed: asyncio.Event | None = None) -> Exchange:
        """Make one exchange on the connection that it names, which is dialled if it is the first.

        Raises:
            ProbeFault: The request makes no sense, or this machine cannot make it.
        """
        if not request.protocol.facts.kept:
            raise ProbeFault(f"connections of {request.protocol} are not kept; those of these are: {KEPT}")
        await asyncio.sleep(request.idle)

        async def speak(recorder: ExchangeRecorder) -> None:
            kept = await self._connection(request, recorder)
            await kept.exchange(request, recorder)

        return await observe(ExchangeRecorder(request, resumed), request.patience, speak)

    async def close(self, name: str) -> None:
        """Close a connection; nothing if it was never dialled."""
        if entry := self._open.pop(name, None):
            await entry[0].close()

    async def _connection(self, request: Request, recorder: ExchangeRecorder) -> Kept:
        async with self._dialling:
            if request.connection not in self._open:
                keep: Keeper = (await module_of(request.protocol)).keep
                kept = await keep(request, recorder)
                self._open[request.connection] = kept, recorder.local, recorder.remote
            kept, recorder.local, recorder.remote = self._open[request.connection]
        recorder.connected = True
        return kept
