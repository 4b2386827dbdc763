"""Runs of pytest as forks of a process that has their modules loaded, which takes each run 0.9 s of CPU time otherwise.

Such a run is a process with a session of its own, and differs from a fresh one in the time of its imports only.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pytest_meshcheck.probe.agent.fork_server import REPORT

SERVER = Path(__file__).with_name("run_server.py")


@dataclass
class ForkedRuns:
    """The runs, and the process that they are forks of; a context manager.

    Entered by a thread that stays: the kernel kills the server when the thread that started it ends.
    """

    _server: "subprocess.Popen[bytes]" = field(init=False)
    _requests: socket.socket = field(init=False)

    def __enter__(self) -> None:
        """Start the server."""
        self._requests, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen((sys.executable, SERVER), stdin=theirs.fileno(), stdout=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        """Have it end."""
        self._requests.close()
        self._server.wait()

    def run(self, args: Sequence[str], cwd: Path, env: Mapping[str, str], patience: float) -> tuple[int | None, str]:
        """Run ``python -m pytest``; returns exit code, None if it was killed after so many seconds, and output."""
        with ExitStack() as files:
            output, printing = _pipe(files)
            reports, reporting = _pipe(files)
            nothing = files.enter_context(Path(os.devnull).open("rb"))
            request = json.dumps([str(cwd), [*args], {**env}]).encode()
            descriptors = [file.fileno() for file in (nothing, printing, printing, reporting)]
            socket.send_fds(self._requests, [request], descriptors)
            printing.close()
            reporting.close()
            pid = _reported(reports)
            text, ended = _read(output, patience)
            if ended:
                return _reported(reports), text
            os.killpg(pid, signal.SIGKILL)
            rest, _ = _read(output, patience)  # until its children are gone, too
            return None, text + rest


FORKED = ForkedRuns()
"""Those of this process."""


def _pipe(files: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return files.enter_context(os.fdopen(reader, "rb", 0)), files.enter_context(os.fdopen(writer, "wb", 0))


def _reported(reports: BinaryIO) -> int:
    """A process id, or an exit code."""
    report = reports.read(REPORT.size)
    assert report, "no run could be forked; the standard error of the server says why"
    number: int = REPORT.unpack(report)[0]
    return number


def _read(output: BinaryIO, patience: float) -> tuple[str, bool]:
    """What is printed within so many seconds, and whether that is all."""
    printed, end = bytearray(), time.monotonic() + patience
    while (remaining := end - time.monotonic()) > 0 and select.select([output], [], [], remaining)[0]:
        if not (piece := output.read(1 << 16)):
            return printed.decode(), True
        printed += piece
    return printed.decode(), False
