"""The processes of one run on this machine: probes, sidecars and the recorder, with their deaths, stalls and logs."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest_meshcheck
from pytest_meshcheck.model.redaction import redacted
from pytest_meshcheck.platforms.base import Interval, Stall
from pytest_meshcheck.platforms.children import Child, spawn
from pytest_meshcheck.platforms.crash import Crashes
from pytest_meshcheck.platforms.local.forks import ForkServers
from pytest_meshcheck.platforms.stalls import WatchedChildren, felt
from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.protocol.messages import Request

PROBE = (sys.executable, "-P", "-m", "pytest_meshcheck.probe", "--fork-server")
"""The command that starts what probes are forked from."""


class ProcessTable:
    """The processes of one run.

    Attributes:
        directory: The run directory, which has their logs.
        children: Those that were started and not discarded.
        crashes: The crashes of sidecars.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing is started yet."""
        self.directory = directory
        self.children: list[Child] = []
        self._forks = ForkServers(directory, _environment)
        self._probes: dict[Child, Probe] = {}
        self._longest_of_probes = 0.0
        self.crashes = Crashes()
        self._watched = WatchedChildren(self._sidecars)

    def check(self) -> None:
        """Raise Inconclusive if one has died; the message names it, the cause and its log's end."""
        for child in self.children:
            child.check()

    async def ensure_alive(self) -> None:
        """The same, and wait for the end of those that are just dying."""
        await self.notice_ends()
        self.check()

    async def crashed(self) -> Sequence[str]:
        """How each sidecar ended that crashed and was not reported before, or has not been discarded."""
        await self.notice_ends()
        return self.crashes.report(child.obituary() for child in self._sidecars() if child.crashed)

    def alive_of(self, workload: str) -> Sequence[str]:
        """The names of those processes of a workload that run."""
        return [child.name for child in self.children if child.alive and child.name.endswith(f" of {workload}")]

    async def notice_ends(self) -> None:
        """Wait for the end of those that are just dying."""
        await asyncio.gather(*(child.process.wait() for child in self.children if child.ending))

    async def spawn(self, name: str, argv: Sequence[str], *, cwd: Path | None = None, pipes: bool = False) -> Child:
        """Start a process that dies with this one; its log is kept in the run directory."""
        child = await spawn(name, argv, self._log(name), env=_environment(), cwd=cwd or self.directory, pipes=pipes)
        self.children.append(child)
        self._watched.begin()
        return child

    async def start_probe(self, name: str, first: Request | None = None) -> tuple[Child, Probe]:
        """Start a probe that is controlled over its pipes, and that sends the ``first`` request at once."""
        child, probe = await self._forks.fork(PROBE, name, self._log(name), first)
        self.children.append(child)
        self._probes[child] = probe
        return child, probe

    async def discard(self, child: Child) -> None:
        """Stop a process and forget it, but for its crash."""
        if child in self._sidecars() and child.crashed:
            self.crashes.keep([child.obituary()])
        await child.stop()
        if child in self.children:
            self.children.remove(child)
        if probe := self._probes.pop(child, None):
            self._longest_of_probes = max(self._longest_of_probes, probe.longest)

    async def stalls(self, interval: Interval) -> Sequence[Stall]:
        """For how long each probe could not react, and each sidecar was stopped; and who ran out of files."""
        probes = await asyncio.gather(*(felt(child.name, probe, interval) for child, probe in self._probes.items()))
        return [*probes, *self._watched.over(interval)]

    def longest_stalls(self) -> Mapping[str, float]:
        """The longest stall in seconds of the probes, and of the sidecars."""
        longest = max((probe.longest for probe in self._probes.values()), default=0.0)
        return {"probes": max(longest, self._longest_of_probes), "sidecars": self._watched.longest}

    def _sidecars(self) -> list[Child]:
        return [child for child in self.children if child not in self._probes]

    def copy_logs(self, target: Path) -> None:
        """Copy all logs, without private keys."""
        target.mkdir(parents=True, exist_ok=True)
        for log in self.directory.glob("*.log"):
            (target / log.name).write_text(redacted(log.read_text(encoding="utf-8", errors="replace")), "utf-8")

    async def close(self) -> None:
        """Kill all of them."""
        await asyncio.gather(*(child.stop() for child in self.children))
        self.children.clear()
        await self._forks.close()

    def end_watch(self) -> None:
        """Watch for stalls no more."""
        self._watched.end()

    def _log(self, name: str) -> Path:
        return self.directory / f"{name.replace(' ', '-').replace('/', '.')}.log"


def _environment() -> dict[str, str]:
    """This process's environment without proxies: the measured traffic must not take a detour."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    package = str(Path(pytest_meshcheck.__file__).parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH"))))
    return kept
