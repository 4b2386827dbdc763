"""Envoy's hot restart: a new process takes over the listening sockets of an old one, which drains and then ends.

Connections stay with the process that accepted them: HTTP ones are closed between two requests while it drains, what is
still open when it ends is cut (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/operations/hot_restart).
"""

from dataclasses import dataclass
from pathlib import Path

DRAINS = 3
ENDS = 5
"""Seconds from the start of the new process until the old one has closed what it can, and until it ends."""

SOCKETS = "hot"
"""What the names of the Unix sockets begin with by which both talk; relative to the directory that they run in."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - what Envoy makes with shm_open is nowhere else
SCALE = 10
"""Envoy multiplies base ids by it, and adds a number of its own."""

SEPARATOR = "#"
"""Between the workload and the epoch in the name of a process."""


def workload_of(process: str) -> str:
    """The workload whose sidecar a process is, by the name of the process."""
    return process.partition(SEPARATOR)[0]


@dataclass(frozen=True)
class Generation:
    """One process in a line of those that replace each other.

    Attributes:
        base: Number that distinguishes these processes from all other sidecars on this machine.
        epoch: Its place in the line, from 0.
    """

    base: int
    epoch: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What Envoy is told of it."""
        return (
            *("--base-id", str(self.base), "--restart-epoch", str(self.epoch), "--socket-path", SOCKETS),
            *("--drain-time-s", str(DRAINS), "--parent-shutdown-time-s", str(ENDS)),
        )

    def name(self, workload: str) -> str:
        """What the process of a workload's sidecar is called while it and the one that it replaces both run."""
        return f"{workload}{SEPARATOR}{self.epoch}"

    @property
    def successor(self) -> "Generation":
        """The one that takes over from it."""
        return Generation(self.base, self.epoch + 1)

    def forget(self) -> None:
        """Remove the shared memory that the line leaves behind."""
        (SHARED_MEMORY / f"envoy_shared_memory_{self.base * SCALE}").unlink(missing_ok=True)
