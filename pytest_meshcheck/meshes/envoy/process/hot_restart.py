"""Envoy's hot restart: a new process takes over the listening sockets of an old one, which drains and then ends.

A connection stays with the process that accepted it. While it drains, it closes HTTP connections between two requests;
the rest breaks when it ends (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/operations/hot_restart).
"""

from dataclasses import dataclass, replace
from pathlib import Path

DRAINS = 3
ENDS = 5
"""Seconds from the start of the new process until the old one has closed what it can, and until it ends."""

PATIENT_ENDS = 60
"""The same for a sidecar whose replacement a check ends itself."""

SOCKETS = "hot"
"""The path prefix of the Unix sockets between both processes, relative to their working directory."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Envoy's shm_open creates its files here
SCALE = 10
"""Envoy multiplies base ids by this factor, and adds a number of its own."""

SEPARATOR = "#"
"""The separator of workload and epoch in the name of a process."""


def workload_of(process: str) -> str:
    """The workload of a sidecar process, by the name of the process."""
    return process.partition(SEPARATOR)[0]


@dataclass(frozen=True)
class Generation:
    """One process in a sequence of hot restarts.

    Attributes:
        base: The base id, which distinguishes the sequence from all other sidecars on this machine.
        epoch: Its position in the sequence, from 0.
        ends: Seconds from the start of its successor until it ends.
    """

    base: int
    epoch: int = 0
    ends: int = ENDS

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command-line arguments for Envoy."""
        return (
            *("--base-id", str(self.base), "--restart-epoch", str(self.epoch), "--socket-path", SOCKETS),
            *("--drain-time-s", str(DRAINS), "--parent-shutdown-time-s", str(self.ends)),
        )

    def name(self, workload: str) -> str:
        """The name of the process, which is unique while it and its predecessor both run."""
        return f"{workload}{SEPARATOR}{self.epoch}"

    @property
    def successor(self) -> "Generation":
        """The next process in the sequence."""
        return replace(self, epoch=self.epoch + 1)

    @property
    def first(self) -> "Generation":
        """A process without a predecessor: a later one asks its predecessor for the sockets, and ends without it."""
        return replace(self, epoch=0)

    def forget(self) -> None:
        """Remove the shared memory that the sequence leaves behind."""
        (SHARED_MEMORY / f"envoy_shared_memory_{self.base * SCALE}").unlink(missing_ok=True)
