"""A probe that is controlled over a Unix socket, as one that is no child of its controller."""

import asyncio
import secrets
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from pytest_meshcheck.probe.agent.control_session import ControlSession
from pytest_meshcheck.probe.process.pipes import READ_AHEAD
from pytest_meshcheck.probe.protocol.framing import framed, next_message
from pytest_meshcheck.probe.protocol.messages import Hello, Listen, Request, Serve, Welcome


async def serve(path: Path, drain: float, first: Request | None, ports: tuple[Listen, ...] = ()) -> None:
    """Send the ``first`` request, serve the ports, and take controllers on a Unix socket, one at a time.

    Until SIGTERM; ports are served ``drain`` seconds longer, or until another SIGTERM.

    A stream that breaks changes nothing: scripts, ledger, loads and replies are there for the next one. The newest
    stream is the one that counts, as the end of an older one may not have been noticed yet. A controller that says
    another session starts a conversation of its own with everything that the probe has kept.
    """
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    endpoint = Endpoint(first)
    if ports:
        await endpoint.session.serve(Serve(socket.gethostname(), ports))
    server = await asyncio.start_unix_server(endpoint.accept, path, limit=READ_AHEAD)
    async with server:
        await terminated.wait()
        terminated.clear()
        endpoint.session.asked_to_end.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(terminated.wait(), drain)
        endpoint.close()


class Endpoint:
    """The socket's side of the conversations with controllers."""

    def __init__(self, first: Request | None) -> None:
        self.incarnation = secrets.token_hex(8)
        self.session = ControlSession(first)
        self._controller = ""
        self._writer: asyncio.StreamWriter | None = None

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one stream until it ends or a newer one takes its place."""
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as broken:
            sys.stderr.write(f"a control stream broke: {broken!r}\n")
        except asyncio.CancelledError:
            # The program ends; asyncio would report what ends with it as a defect.
            return
        finally:
            writer.close()

    def close(self) -> None:
        """End the stream that counts."""
        if self._writer is not None:
            self._writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await next_message(reader, msgspec.msgpack.Decoder(Hello))
        if hello is None:
            return
        if hello.session != self._controller:
            self._controller = hello.session
            self.session.forget()
        self._writer = writer
        writer.write(framed(Welcome(self.incarnation)))
        await self.session.over(reader, writer)
