"""Forks probes from a process that has their modules loaded, which takes each probe 0.2 s of CPU time otherwise.

A controller asks for a probe by a message on the server's standard input, a Unix socket: the probe's first request
(``first_request``), together with descriptors, which are its standard input, output and error, and a pipe for reports.
The server reports the probe's process id, and once it has ended its exit code, negative for a signal. Where there is no
probe, it reports the negative number of the error, or nothing where it has no descriptors left.
"""

import errno
import gc
import importlib
import os
import select
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

LONGEST = 1 << 16
"""Bytes of a message."""

REPORT = struct.Struct("!i")
DESCRIPTORS = 4

PRELOADED = ("client.http1", "server.http1", "server.http2")
"""Modules that nearly every probe imports later, except for gRPC's: a fork does not inherit their threads."""


@dataclass(frozen=True)
class Fork:
    """A probe that runs: its process id, and where to report its end."""

    pid: int
    reports: int

    def bury(self) -> None:
        """Report the exit code of a probe that has ended, or is about to."""
        _report(self.reports, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]))
        os.close(self.reports)


class ForkServer:
    """Forks probes on request."""

    def __init__(self, requests: socket.socket) -> None:
        """Load what probes need."""
        for module in PRELOADED:
            importlib.import_module(f"pytest_meshcheck.probe.{module}")
        gc.freeze()
        self._requests = requests
        self._forks: dict[int, Fork] = {}
        """By the end of a pipe whose other end closes with the probe."""
        self._events = select.poll()
        self._events.register(requests, select.POLLIN)

    def serve(self) -> bytes:
        """Serve until messages end; returns its first request in each probe, then nothing in the server."""
        while True:
            for ready, _ in self._events.poll():
                if ready in self._forks:
                    self._bury(ready)
                    continue
                first, descriptors, _, _ = socket.recv_fds(self._requests, LONGEST, DESCRIPTORS)
                if not first:
                    return first
                if len(descriptors) < DESCRIPTORS:  # the kernel drops those beyond the limit of open files
                    _close(descriptors)
                elif self._answered(descriptors):
                    return first

    def _bury(self, life: int) -> None:
        self._events.unregister(life)
        os.close(life)
        self._forks.pop(life).bury()

    def _answered(self, descriptors: list[int]) -> bool:
        """Fork if possible, and return whether this is the probe."""
        *standard, reports = descriptors
        try:
            life, pid = _forked()
        except OSError as error:
            _report(reports, -(error.errno or errno.EAGAIN))
            _close(descriptors)
            return False
        if pid == 0:
            self._leave(life)
            _take(standard)
            _close(descriptors)
            return True
        _close(standard)
        self._forks[life] = Fork(pid, reports)
        self._events.register(life, select.POLLIN)
        _report(reports, pid)
        return False

    def _leave(self, life: int) -> None:
        """Close the descriptors of the server in a probe."""
        self._requests.close()
        _close([life, *self._forks, *(fork.reports for fork in self._forks.values())])


def _forked() -> tuple[int, int]:
    """The end of a pipe whose other end closes with the fork, and what ``os.fork`` returns."""
    life, held = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        _close([life, held])
        raise
    if pid:
        os.close(held)
    return life, pid


def _report(reports: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(reports, REPORT.pack(number))


def _take(standard: Sequence[int]) -> None:
    for target, source in enumerate(standard):
        os.dup2(source, target)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
