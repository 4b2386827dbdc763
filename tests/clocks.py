"""A pytest plugin (``-p tests.clocks``): each probe has a clock of its own, as on the machines of a real cluster."""

import secrets
import shutil
import subprocess

import pytest

from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.platforms.local import process_table
from pytest_meshcheck.platforms.local.process_table import ProcessTable
from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.protocol.messages import Request

APART = 1_000_000
"""Seconds, at most, from one machine's clock to another's: what they count from is when they were started."""


def ahead(seconds: int) -> tuple[str, ...]:
    """How a command begins whose clock is ahead by so many seconds; https://man7.org/linux/man-pages/man1/unshare.1"""
    return ("unshare", "--map-root-user", "--time", f"--monotonic={seconds}", "--")


def lacking() -> str:
    """Why no process can be given a clock of its own here; empty where it can."""
    if not shutil.which("unshare"):
        return "unshare, which gives a process a clock of its own, is a program of Linux"
    tried = subprocess.run([*ahead(1), "true"], capture_output=True, text=True, check=False)
    return f"no process can be given a clock of its own: {tried.stderr.strip()}" if tried.returncode else ""


def pytest_configure(config: pytest.Config) -> None:
    """Have each probe forked by a server of its own, which has a clock of its own."""
    command, start = process_table.PROBE, ProcessTable.start_probe

    async def start_probe(self: ProcessTable, name: str, first: Request | None = None) -> tuple[Child, Probe]:
        process_table.PROBE = (*ahead(secrets.randbelow(APART)), *command)
        return await start(self, name, first)

    ProcessTable.start_probe = start_probe  # type: ignore[method-assign]
