"""Child processes that never outlive this one, and whose death is noticed."""

import asyncio
import errno
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.crash import has_crashed
from pytest_meshcheck.platforms.last_words import last_words

LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Has the kernel kill it when the thread that started it ends, and becomes the program that it is given.

A function that runs between fork and exec would do without it, but gRPC's handlers of a fork crash such a child now and
then; without one, Python starts children by vfork, which calls no handlers.
"""


class Process(Protocol):
    """A process as asyncio starts them."""

    pid: int
    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""

    async def wait(self) -> int:
        """Wait for its end; returns the exit code."""

    def send_signal(self, signal: int) -> None:
        """Send it a signal; ProcessLookupError if it has ended."""

    def kill(self) -> None:
        """Kill it; ProcessLookupError if it has ended."""


class Child:
    """A process of ours with its log.

    Attributes:
        name: For messages, e.g. ``sidecar of blue/server``.
        process: The process; stdin and stdout are pipes where that was asked for.
        log: Where its stderr goes, after that of an earlier process of the same name.
        log_begins: Bytes of its log that are an earlier process's.
        reader: Ends whatever reads its stdout, so that no pipe outlives it; None where nothing does.
    """

    def __init__(self, name: str, process: Process, log: Path, log_begins: int = 0) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.log_begins = log_begins
        self.reader: Callable[[], Awaitable[None]] | None = None
        self._stopping = False

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.returncode is None

    @property
    def ending(self) -> bool:
        """Whether its end has begun: the kernel frees its memory, then closes its sockets, and notifies us last."""
        if not self.alive:
            return False
        try:
            return Path(f"/proc/{self.process.pid}/statm").read_text("utf-8").startswith("0 ")
        except (FileNotFoundError, ProcessLookupError):
            return True

    @property
    def lost(self) -> bool:
        """Whether it ended by itself."""
        return not self.alive and not self._stopping

    @property
    def crashed(self) -> bool:
        """Whether it ended by a fault of its own."""
        return self.lost and has_crashed(self.process.returncode or 0, self.said())

    def retire(self) -> None:
        """Expect its end, so that it does not count as a loss."""
        self._stopping = True

    async def stop(self) -> None:
        """Kill it and wait for its end; no child of ours has anything to save."""
        self._stopping = True
        with suppress(ProcessLookupError):
            self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        await self.process.wait()
        if self.process.stdin is not None:
            with suppress(ConnectionError):  # unread, it would be logged as lost whenever it is collected
                await self.process.stdin.wait_closed()
        if self.reader is not None:
            await self.reader()

    def check(self) -> None:
        """Raise Inconclusive if it ended by itself."""
        if self.lost:
            raise Inconclusive(self.obituary())

    def obituary(self) -> str:
        """How it ended, and the cause according to its log; the evidence has the whole log."""
        return f"the {self.name} died ({_manner(self.process.returncode)}); {last_words(self.said())}"

    def said(self) -> str:
        """Its log so far."""
        words = self.log.read_bytes()[self.log_begins :] if self.log.exists() else b""
        return words.decode(errors="replace")


async def spawn(
    name: str,
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str],
    cwd: Path,
    pipes: bool = False,
    stdin: int | None = None,
) -> Child:
    """Start a child that the kernel kills when the thread that starts it ends; call this from the main thread.

    Args:
        name: For messages.
        argv: The program and its arguments.
        log: Where its stderr goes, after what is there.
        env: Its environment.
        cwd: Its working directory.
        pipes: Whether standard input and output are pipes.
        stdin: A descriptor for its standard input instead.

    Raises:
        Inconclusive: The program cannot be run.
    """
    stdio = asyncio.subprocess.PIPE if pipes else asyncio.subprocess.DEVNULL
    with log.open("ab") as stderr:
        begins = stderr.tell()
        try:
            process = await asyncio.create_subprocess_exec(
                *tethered(argv),
                stdin=stdio if stdin is None else stdin,
                stdout=stdio,
                stderr=stderr,
                env=dict(env),
                cwd=cwd,
                # Ctrl-C is for us: a data plane that it ends as well would look as if it had died by itself
                process_group=0,
            )
        except OSError as error:
            raise Inconclusive(f"the {name} cannot be started: {argv[0]}: {error.strerror}") from error
    return Child(name, process, log, begins)


def tethered(argv: Sequence[str]) -> tuple[str, ...]:
    """The command for a program that the kernel kills when the thread ends that starts it.

    Raises:
        FileNotFoundError: There is no such program.
    """
    program = shutil.which(argv[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    return (sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), program, *argv[1:])


def _manner(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"signal {signal.Signals(-returncode).name}"
    return f"exit code {returncode}"
