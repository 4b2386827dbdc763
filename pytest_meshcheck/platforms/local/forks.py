"""Probes as forks of a process that has their modules loaded: see ``probe.agent.fork_server``."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.children import Child, spawn
from pytest_meshcheck.probe.agent.arguments import encoded
from pytest_meshcheck.probe.agent.fork_server import REPORT
from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.process.pipes import streams
from pytest_meshcheck.probe.protocol.messages import Request

SERVER = "fork server"
"""In messages, and in the name of its log."""


class Reports(asyncio.Protocol):
    """The reports of a fork server about one probe.

    Attributes:
        pid: The id of its process; where there is none, the negative number of the error.
        exit_code: Negative for a signal; that of SIGKILL if the server has ended, and the kernel its forks.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.pid: asyncio.Future[int] = loop.create_future()
        self.exit_code: asyncio.Future[int] = loop.create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """The server has forked the probe, or the probe has ended."""
        self._received += data
        if not self.pid.done():
            self.pid.set_result(self._number(0))

    def connection_lost(self, _why: Exception | None) -> None:
        """There is no probe any more, or there never was one."""
        if not self.pid.done():
            self.pid.set_result(-errno.EMFILE)
        self.exit_code.set_result(self._number(1) if len(self._received) > REPORT.size else -signal.SIGKILL)

    def _number(self, position: int) -> int:
        number: int = REPORT.unpack_from(self._received, position * REPORT.size)[0]
        return number


@dataclass(eq=False)
class Fork:
    """The process of a probe, as a ``children.Process``."""

    pid: int
    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None
    _exit_code: asyncio.Future[int]

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._exit_code.result() if self._exit_code.done() else None

    async def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return await asyncio.shield(self._exit_code)

    def send_signal(self, signal: int) -> None:
        """Send it a signal; ProcessLookupError if it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, signal)

    def kill(self) -> None:
        """Kill it; ProcessLookupError if it has ended."""
        self.send_signal(signal.SIGKILL)


@dataclass(frozen=True)
class ForkServer:
    """A running fork server, and the socket that it takes requests on."""

    child: Child
    requests: socket.socket

    async def fork(self, name: str, log: Path, first: Request | None) -> tuple[Child, Probe]:
        """A new probe, controlled over its standard input and output, which sends the ``first`` request at once.

        Raises:
            Inconclusive: There is none, for want of processes or open files, or because the server is dead.
        """
        with ExitStack() as ours:
            try:
                begins, commands, replies, reports = self._request(log, first, ours)
                transport, reported = await asyncio.get_running_loop().connect_read_pipe(Reports, reports)
            except OSError as error:
                await self._ensure_alive()
                raise Inconclusive(f"the {name} cannot be started: {error.strerror}") from error
            ours.callback(transport.close)
            pid = await reported.pid
            if pid < 0:
                await self._ensure_alive()
                raise Inconclusive(f"the {name} cannot be started: {os.strerror(-pid)}")
            reader, writer = await streams(replies, commands)
            ours.pop_all()
        child = Child(name, Fork(pid, writer, reader, reported.exit_code), log, begins)
        probe = Probe.over(writer, reader)
        child.reader = probe.close
        return child, probe

    async def stop(self) -> None:
        """Kill it; the kernel kills its forks."""
        self.requests.close()
        await self.child.stop()

    def _request(self, log: Path, first: Request | None, ours: ExitStack) -> tuple[int, BinaryIO, BinaryIO, BinaryIO]:
        """Ask for a probe: the length of its log, and our ends of its input, its output and the reports."""
        with ExitStack() as theirs:
            stdin, commands = _pipe(theirs, ours)
            replies, stdout = _pipe(ours, theirs)
            reports, reporting = _pipe(ours, theirs)
            stderr = theirs.enter_context(log.open("ab"))
            sent = [file.fileno() for file in (stdin, stdout, stderr, reporting)]
            socket.send_fds(self.requests, [encoded(first).encode()], sent)
            return stderr.tell(), commands, replies, reports

    async def _ensure_alive(self) -> None:
        if self.child.ending:
            await self.child.process.wait()
        self.child.check()


@dataclass(eq=False)
class ForkServers:
    """The fork servers of one run: one per command, which starts with the first probe.

    Attributes:
        directory: Where they run, and have their log.
        environment: Makes the environment of one.
    """

    directory: Path
    environment: Callable[[], Mapping[str, str]]
    _running: dict[Sequence[str], ForkServer] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fork(self, command: Sequence[str], name: str, log: Path, first: Request | None) -> tuple[Child, Probe]:
        """A new probe, forked by the server that this command starts; a server that has died is replaced.

        Raises:
            Inconclusive: There is none.
        """
        async with self._starting:
            server = self._running.get(command)
            if server is not None and (server.child.ending or not server.child.alive):
                await server.stop()
                server = None
            if server is None:
                server = self._running[command] = await self._start(command)
        return await server.fork(name, log, first)

    async def close(self) -> None:
        """Kill them, and with them all probes."""
        await asyncio.gather(*(server.stop() for server in self._running.values()))
        self._running.clear()

    async def _start(self, command: Sequence[str]) -> ForkServer:
        log = self.directory / f"{SERVER.replace(' ', '-')}.log"
        requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs, ExitStack() as unless_started:
            unless_started.enter_context(requests)
            child = await spawn(SERVER, command, log, env=self.environment(), cwd=self.directory, stdin=theirs.fileno())
            unless_started.pop_all()
        return ForkServer(child, requests)


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """A pipe, each of whose ends is closed by one of these."""
    reader, writer = os.pipe()
    return (
        reading.enter_context(os.fdopen(reader, "rb", buffering=0)),
        writing.enter_context(os.fdopen(writer, "wb", buffering=0)),
    )
