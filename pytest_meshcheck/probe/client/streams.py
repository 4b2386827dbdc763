"""Streams that stay open and echo the bytes sent on them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol as Interface

from pytest_meshcheck.probe.client.client import module_of, observe
from pytest_meshcheck.probe.client.exchange import ExchangeRecorder
from pytest_meshcheck.probe.client.tcp import SMALLEST
from pytest_meshcheck.probe.protocol.body import content
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Body, Exchange, Protocol, Request


class Stream(Interface):
    """An open stream."""

    request: Request

    async def echo(self, data: bytes, recorder: ExchangeRecorder) -> None:
        """Send bytes and wait for their echo."""

    async def close(self) -> None:
        """Close it."""


Opener = Callable[[Request, ExchangeRecorder], Awaitable[Stream]]
"""Opens a stream and has it echo once."""

STREAMED = ", ".join(protocol for protocol in Protocol if protocol.facts.streams)


@dataclass
class Streams:
    """The open streams, by their ids."""

    _open: dict[str, Stream] = field(default_factory=dict)

    async def open(self, request: Request) -> Exchange:
        """Open a stream and have it echo once; it is kept where that worked."""
        if request.request_id in self._open:
            raise ProbeFault(f"stream {request.request_id!r} is open already")
        if not request.protocol.facts.streams:
            raise ProbeFault(f"{request.protocol} has no streams; these have: {STREAMED}")
        opener: Opener = (await module_of(request.protocol)).open_stream

        async def begin(recorder: ExchangeRecorder) -> None:
            self._open[request.request_id] = await opener(request, recorder)

        return await observe(ExchangeRecorder(request), request.patience, begin)

    async def echo(self, request_id: str, body: Body, patience: float) -> Exchange:
        """Send bytes on an open stream and wait for their echo."""
        stream = self._named(request_id)
        recorder = ExchangeRecorder(stream.request)
        recorder.connected = True
        data = content(body) or SMALLEST
        return await observe(recorder, patience, lambda seen: stream.echo(data, seen))

    async def close(self, request_id: str) -> None:
        """Close a stream."""
        stream = self._named(request_id)
        del self._open[request_id]
        await stream.close()

    def _named(self, request_id: str) -> Stream:
        try:
            return self._open[request_id]
        except KeyError:
            raise ProbeFault(f"no stream {request_id!r}; open are {', '.join(self._open) or 'none'}") from None
