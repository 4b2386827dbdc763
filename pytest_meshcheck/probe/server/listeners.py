"""The ports that a probe serves."""

import asyncio
import socket
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pytest_meshcheck.probe.process.loading import loaded
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Listen, Protocol
from pytest_meshcheck.probe.protocol.tls_contexts import server_context
from pytest_meshcheck.probe.server.connection import AcceptedConnection
from pytest_meshcheck.probe.server.scripts import ScriptedResponses

BACKLOG = 1024
NOTED_WITHIN = 1.0
"""Seconds that peers have to close their half of connections."""

Serve = Callable[[AcceptedConnection], Coroutine[Any, Any, None]]
"""What serves one connection to its end."""

SERVED = ", ".join(protocol for protocol in Protocol if protocol.facts.server)


@dataclass
class Listener:
    """A port that is open, and the connections that were accepted on it, their TLS handshakes ended or not."""

    port: Listen
    server: asyncio.Server = field(init=False)
    connections: "weakref.WeakSet[AcceptedConnection]" = field(default_factory=weakref.WeakSet)
    closed: bool = False

    def accept(self, serve: Serve) -> AcceptedConnection:
        """A new connection; asyncio asks for it only after it has accepted the socket, when this may be closed."""
        connection = AcceptedConnection(serve)
        self.connections.add(connection)
        if self.closed:
            connection.close()
        return connection

    def close(self) -> None:
        """Stop listening, and close accepted connections, as a stopped server does."""
        self.closed = True
        self.server.close()
        for connection in list(self.connections):
            connection.close()

    async def leave(self) -> None:
        """The same, but wait until the peers have taken note: until then they might send on closed connections."""
        self.server.close()
        accepted = list(self.connections)
        for connection in accepted:
            connection.finish()
        if left := [asyncio.ensure_future(connection.left()) for connection in accepted]:
            _, waiting = await asyncio.wait(left, timeout=NOTED_WITHIN)
            for one in waiting:
                one.cancel()
        self.close()


@dataclass
class Listeners:
    """What listens, by the names of the ports."""

    responses: ScriptedResponses
    _open: dict[str, Listener] = field(default_factory=dict)
    _reopening: dict[str, tuple[Listen, asyncio.Task[None]]] = field(default_factory=dict)

    async def open(self, port: Listen) -> None:
        """Listen on a port, in place of what listened there, or took tunnels; ProbeFault where that is not possible.

        A port without TLS that is open like this already stays open, with its connections.
        """
        if port.tls is None and (there := self._open.get(port.port)) is not None and there.port == port:
            return
        serve = await serving(port, self.responses)
        tls = None if port.tls is None else server_context(port.tls)
        if port.port in self._open or port.port in self._reopening:
            self.close(port.port)
        for other in [one.port for one in self._open.values() if tunnels_alike(one.port, port)]:
            self.close(other.port)
        opened = Listener(port)
        # Until it is among the open ones nothing is awaited that would let another command in between.
        opened.server = await asyncio.get_running_loop().create_server(
            partial(opened.accept, serve), sock=listening(port), backlog=BACKLOG, ssl=tls, start_serving=False
        )
        self._open[port.port] = opened
        await opened.server.start_serving()

    def close(self, name: str) -> Listen:
        """Stop serving a port. ProbeFault if it is not open."""
        if name in self._reopening:
            port, reopening = self._reopening.pop(name)
            reopening.cancel()
            return port
        try:
            listener = self._open.pop(name)
        except KeyError:
            raise ProbeFault(f"port {name!r} is not open; open are {', '.join(self._open) or 'none'}") from None
        listener.close()
        return listener.port

    async def stop(self, name: str, seconds: float | None = None) -> None:
        """Stop serving a port, once its peers know of it for so many seconds. ProbeFault if it is not open."""
        listener = self._open.get(name)
        if listener is not None:
            await listener.leave()
        port = self.close(name)
        if seconds is not None:
            self._reopening[name] = port, asyncio.create_task(self._reopen(port, seconds))

    async def _reopen(self, port: Listen, seconds: float) -> None:
        await asyncio.sleep(seconds)
        del self._reopening[port.port]
        await self.open(port)


def listening(port: Listen) -> socket.socket:
    """A socket that listens; ProbeFault where that is not possible."""
    host, number = port.address
    if port.tls is not None and port.tls.tunnel is not None:
        number = port.tls.tunnel
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off where the protocol is named alone; else answers in two parts take 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, number))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ProbeFault(f"cannot listen on {host}:{number} for port {port.port!r}: {error}") from error
    return listener


def tunnels_alike(one: Listen, other: Listen) -> bool:
    """Whether two ports are reached by tunnels at the same number, where one of them alone can be served."""
    numbers = [None if port.tls is None else port.tls.tunnel for port in (one, other)]
    return numbers[0] is not None and numbers[0] == numbers[1]


async def serving(port: Listen, responses: ScriptedResponses) -> Serve:
    """What serves one connection of a port; ProbeFault where nothing does."""
    name = port.protocol.facts.server
    if name is None:
        raise ProbeFault(f"port {port.port!r}: {port.protocol} is not served; these are: {SERVED}")
    speak = partial((await loaded(f"{__package__}.{name}")).serve, responses, port)
    if port.tls is None or port.tls.tunnel is None:
        return speak
    return partial(serve_tunnels, speak, port.address[1])


async def serve_tunnels(speak: Serve, number: int, connection: AcceptedConnection) -> None:
    """Serve a connection whose streams are tunnels to the port of this number."""
    from pytest_meshcheck.probe.server.hbone import TunnelServer  # noqa: PLC0415  It is heavy.

    await TunnelServer(speak, number, connection).run()
