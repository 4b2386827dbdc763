"""Streams that stay open: TCP echo, and bidirectional gRPC."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol as Interface

from pytest_meshcheck.probe.client.client import connection, observe, speaker
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Observed
from pytest_meshcheck.probe.client.tcp import SMALLEST, echo, greet
from pytest_meshcheck.probe.protocol.body import content
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Body, Exchange, Protocol, Request


class Stream(Interface):
    """An open stream."""

    request: Request

    async def echo(self, data: bytes, observed: Observed) -> None:
        """Send bytes and wait for their echo."""

    async def close(self) -> None:
        """Close it."""


@dataclass
class TcpStream:
    """A TCP echo stream."""

    request: Request
    wire: Connection
    block: AsyncExitStack

    async def echo(self, data: bytes, observed: Observed) -> None:
        """Send bytes and wait for their echo."""
        await echo(self.wire, data, len(data), observed)

    async def close(self) -> None:
        """Close it."""
        await self.block.aclose()


@dataclass
class Streams:
    """The open streams, by their ids."""

    _open: dict[str, Stream] = field(default_factory=dict)

    async def open(self, request: Request) -> Exchange:
        """Open a stream and have it echo once; it is kept where that worked."""
        if request.request_id in self._open:
            raise ProbeFault(f"stream {request.request_id!r} is open already")
        if request.protocol not in (Protocol.TCP, Protocol.GRPC):
            raise ProbeFault(f"streams are tcp or grpc, not {request.protocol}")
        if request.protocol is Protocol.GRPC:
            await speaker(request.protocol)
        return await observe(Observed(request), request.patience, lambda observed: self._begin(request, observed))

    async def echo(self, request_id: str, body: Body, patience: float) -> Exchange:
        """Send bytes on an open stream and wait for their echo."""
        stream = self._named(request_id)
        observed = Observed(stream.request)
        observed.connected = True
        data = content(body) or SMALLEST
        return await observe(observed, patience, lambda seen: stream.echo(data, seen))

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

    async def _begin(self, request: Request, observed: Observed) -> None:
        async with AsyncExitStack() as block:
            if request.protocol is Protocol.GRPC:
                self._open[request.request_id] = await open_grpc(request, observed)
                return
            wire = await block.enter_async_context(connection(request, observed))
            await greet(wire, request, observed)
            self._open[request.request_id] = TcpStream(request, wire, block.pop_all())


async def open_grpc(request: Request, observed: Observed) -> Stream:
    """Open a bidirectional gRPC stream."""
    from pytest_meshcheck.probe.client.grpc import GrpcStream  # noqa: PLC0415  It is heavy.

    return await GrpcStream.open(request, observed)
