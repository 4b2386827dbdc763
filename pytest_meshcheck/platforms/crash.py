"""Crashes of data planes, as opposed to ends that somebody else caused."""

import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_meshcheck.probe.process.limits import quoted

FAULTS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
"""The signals by which a process ends because of a fault of its own."""

SIGNALLED = 128
"""A container's exit code is this plus the number of the signal that ended it."""

PANICS = {2: re.compile(r"^(?:panic|fatal error): ", re.MULTILINE), 101: re.compile(r"\bpanicked at\b")}
"""Exit codes of programs in Go and Rust that give up on a fault of their own, and the words of their logs."""

OF_CHILD = re.compile(
    r"exited with error: signal: (?:segmentation fault|aborted|bus error|illegal instruction|floating point exception)"
)
"""The words of Istio's agent, which ends with exit code 0 after its Envoy: pkg/envoy/agent.go, Agent.Run."""


def has_crashed(exit_code: int, log: str) -> bool:
    """Whether a process with this exit code, negative or above 128 for a signal, ended by a fault of its own.

    A log that names a resource which the machine lacks explains the end otherwise.
    """
    ended_by = -exit_code if exit_code < 0 else exit_code - SIGNALLED
    words = (OF_CHILD, *filter(None, [PANICS.get(exit_code)]))
    return (ended_by in FAULTS or any(one.search(log) for one in words)) and quoted(log) is None


@dataclass
class Crashes:
    """Descriptions of crashes; that of a removed data plane is kept until a check has reported it."""

    _removed: list[str] = field(default_factory=list)
    _reported: set[str] = field(default_factory=set)

    def keep(self, crashes: Iterable[str]) -> None:
        """Keep the crashes of data planes before their removal."""
        self._removed += crashes

    def report(self, of_running: Iterable[str]) -> list[str]:
        """All crashes, of removed and of running workloads; they count as reported from then on."""
        crashes = [*self._removed, *of_running]
        self._reported.update(crashes)
        return crashes

    def forget_reported(self) -> None:
        """Keep only unreported crashes: the kubelet noticed them after the end of their check."""
        self._removed = [one for one in self._removed if one not in self._reported]
