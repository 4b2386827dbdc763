"""Runs of the suite some of whose processes are stopped again and again, as on a machine that is starved or sleeps."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.falsify.judged import PATIENCE, SOUND_MESH, Run, Verdicts, command, environment, read
from tests.falsify.table import ROOT

STOPPED, CONTINUED = 2.5, 0.4
"""Seconds."""

TIMES = 8
PROBE = "pytest_meshcheck.probe"
BEGUN = "::test_"
"""In the first line of the output that says that a check begins."""

Victims = Callable[[int], list[int]]
"""From the process of pytest to those that are stopped."""


@dataclass(frozen=True)
class StopAndGo:
    """A run, what of it is stopped, and after how many seconds for the first time."""

    run: Run
    victims: Victims
    offset: float

    def __str__(self) -> str:
        return str(self.run)

    def verdicts(self, directory: Path) -> Verdicts:
        """Run it, stop and continue, and return the verdict of everything that was run.

        Raises:
            NoReport: It ended without a report.
            subprocess.TimeoutExpired: It did not end.
        """
        argv = (*command(self.run, directory), "-v")
        with subprocess.Popen(argv, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
            try:
                output = self._stop_and_go(process)
            finally:
                process.kill()
        verdicts = read(self.run, directory, f"{' '.join(argv)} ended with {process.returncode}:\n{output}")
        return verdicts[SOUND_MESH]

    def _stop_and_go(self, process: "subprocess.Popen[str]") -> str:
        begun = []
        for line in process.stdout or ():
            begun.append(line)
            if BEGUN in line:
                break
        time.sleep(self.offset)
        for _ in range(TIMES):
            pids = self.victims(process.pid) if process.poll() is None else []
            send(signal.SIGSTOP, pids)
            time.sleep(STOPPED if pids else 0)
            send(signal.SIGCONT, pids)
            time.sleep(CONTINUED if pids else 0)
        rest, _ = process.communicate(timeout=PATIENCE)
        return "".join([*begun, rest])


def send(number: signal.Signals, pids: list[int]) -> None:
    """Send a signal to those of these processes that still run."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def itself(pid: int) -> list[int]:
    """The process of pytest, and with it the control plane of the embedded mesh."""
    return [pid]


def probes(pid: int) -> list[int]:
    """The first two probes that were started: of the workloads that most checks are about."""
    servers = [child for child, command_line, _ in children(pid) if PROBE in command_line]
    return sorted(fork for server in servers for fork, _, _ in children(server))[:2]


def sidecar_of(workload: str) -> Victims:
    """The sidecar of a workload, ``namespace.name``."""

    def victims(pid: int) -> list[int]:
        return [child for child, command_line, cwd in children(pid) if PROBE not in command_line and workload in cwd]

    return victims


def children(pid: int) -> Iterator[tuple[int, str, str]]:
    """The children of a process, with their command lines and working directories."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                command_line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                yield int(process.name), command_line, str((process / "cwd").readlink())
        except OSError:
            continue
