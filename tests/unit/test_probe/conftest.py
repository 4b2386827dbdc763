"""Two real probes over loopback, and peers that misbehave as told."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.protocol import messages as m

COMMAND = (sys.executable, "-m", "pytest_meshcheck.probe")
Address = tuple[str, int]


def free_address() -> Address:
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


async def start() -> tuple[asyncio.subprocess.Process, Probe]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process, Probe.over(process.stdin, process.stdout)


@dataclass
class Pair:
    """A client and a server, and shorthand for what tests ask of them."""

    client: Probe
    server: Probe
    ports: dict[str, Address]

    async def script(self, request_id: str, *answers: m.Answer, repeat: bool = False) -> None:
        assert await self.server.call(m.SetScript(request_id, answers, repeat)) == m.Done()

    def request(self, request_id: str, port: str | Address = "http", **fields: Any) -> m.Request:
        address = self.ports[port] if isinstance(port, str) else port
        return m.Request(request_id=request_id, address=address, **({"authority": "server"} | fields))

    async def send(self, request_id: str, port: str | Address = "http", **fields: Any) -> m.Exchange:
        reply = await self.client.call(m.Send(self.request(request_id, port, **fields)))
        assert isinstance(reply, m.Exchanged), reply
        return reply.exchange

    async def watch(self, *polls: m.Poll, in_a_row: int = 3, within: float = 20.0) -> tuple[m.PollResult, ...]:
        reply = await self.client.call(m.Watch(polls, in_a_row, within))
        assert isinstance(reply, m.Watched), reply
        return tuple(msgspec.structs.replace(result, begun=0.0, ended=0.0) for result in reply.results)

    async def fails(self, **fields: Any) -> str:
        reply = await self.client.call(m.Send(m.Request(**fields)))
        assert isinstance(reply, m.Failed), reply
        return reply.error

    async def ledger(self, request_id: str, **fields: Any) -> tuple[m.Attempt, ...]:
        reply = await self.server.call(m.ReadLedger(request_id, **fields))
        assert isinstance(reply, m.Ledger), reply
        return reply.attempts

    async def arrived(self, request_id: str) -> tuple[m.Attempt, ...]:
        reply = await self.server.call(m.AwaitAttempt(request_id, patience=20))
        assert isinstance(reply, m.Ledger), reply
        return reply.attempts

    async def ended(self, request_id: str, count: int = 1) -> tuple[m.Attempt, ...]:
        reply = await self.server.call(m.AwaitAttempt(request_id, count=count, ended=True, patience=20))
        assert isinstance(reply, m.Ledger), reply
        return reply.attempts


PORTS = {
    "http": m.Protocol.HTTP1,
    "grpc": m.Protocol.GRPC,
    "ws": m.Protocol.WEBSOCKET,
    "tcp": m.Protocol.TCP,
    "banner": m.Protocol.TCP,
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pair() -> AsyncIterator[Pair]:
    (client_process, client), (server_process, server) = await start(), await start()
    ports = {name: free_address() for name in PORTS}
    listen = tuple(
        m.Listen(port=name, address=ports[name], protocol=protocol, server_first=name == "banner")
        for name, protocol in PORTS.items()
    )
    assert await server.call(m.Serve("server-1", listen)) == m.Done()
    yield Pair(client, server, ports)
    for process, probe in ((client_process, client), (server_process, server)):
        await probe.close()
        assert await process.wait() == 0


Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def listening(peer: Peer, **options: Any) -> AsyncIterator[Address]:
    """A peer that does what it is told with each connection."""
    server = await asyncio.start_server(peer, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


@pytest.fixture
def peers() -> Any:
    return listening


def says(data: bytes, *, then: str) -> Peer:
    """A peer that reads a little, says something, and then closes, resets or stays silent."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(data)
        await writer.drain()
        if then == "silent":
            await reader.read()
        if then == "reset":
            # Wait until the data is through: the client says more when it has read it, or it never does.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        writer.close()

    return peer


@pytest.fixture
def misbehaving() -> Any:
    return says


@pytest.fixture
def unused() -> Address:
    return free_address()


@pytest_asyncio.fixture(loop_scope="module")
async def started() -> AsyncIterator[tuple[asyncio.subprocess.Process, Probe]]:
    process, probe = await start()
    yield process, probe
    await probe.close()
    await process.wait()
