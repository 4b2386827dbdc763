"""Whether a data plane that has ended crashed, or was ended by somebody else."""

import re
import signal

from pytest_meshcheck.probe.process.limits import quoted

FAULTS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})
"""The signals by which a process ends because of a fault of its own."""

SIGNALLED = 128
"""A container's exit code is this plus the number of the signal that ended it."""

OF_CHILD = re.compile(
    r"exited with error: signal: (?:segmentation fault|aborted|bus error|illegal instruction|floating point exception)"
)
"""The words of Istio's agent, which ends with exit code 0 after its Envoy: pkg/envoy/agent.go, Agent.Run."""


def has_crashed(exit_code: int, log: str) -> bool:
    """Whether a process with this exit code, negative or above 128 for a signal, ended by a fault of its own.

    If its log names a resource that the machine lacks, that explains its end, and it has not.
    """
    ended_by = -exit_code if exit_code < 0 else exit_code - SIGNALLED
    return (ended_by in FAULTS or OF_CHILD.search(log) is not None) and quoted(log) is None
