"""The requirements of local processes, checked before anything starts."""

import errno
import os
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_meshcheck.model.errors import MeshUnavailable

FILES = 256
"""Open files that a process has to be allowed: a sidecar under load has two for each request under way."""

MEMORY_MB = 512
"""Memory that a run needs at most: as measured by ``python benchmarks/run.py``, and a little more."""

DISK_MB = 64
"""Logs, certificates and evidence in the temporary directory."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where shm_open looks, of which Envoy's hot restart makes use

LOOPBACK = "127.2.0.1"
"""One of the addresses that runs take; see ``addresses``."""


def refuse_unfit(*, hot_restart: bool = False) -> None:
    """Have a run on local processes end before it begins where the machine cannot carry it.

    Args:
        hot_restart: Whether sidecars are to be replaced without a break.

    Raises:
        MeshUnavailable: Says in one line everything that is missing, and what to do.
    """
    lacking = [*_system(), *_files(), *_memory(), *_temporary_directory(), *(_shared_memory() if hot_restart else ())]
    if lacking:
        raise MeshUnavailable(f"this machine cannot run the mesh as local processes: {'; '.join(lacking)}")


def _system() -> Iterator[str]:
    if sys.platform != "linux":
        yield f"{sys.platform} has no loopback network 127.0.0.0/8, Linux has: run on a cluster, --mesh-context=NAME"
        return
    try:
        with socket.socket() as trial:
            trial.bind((LOOPBACK, 0))
            trial.listen()
            with socket.create_connection(trial.getsockname(), timeout=5.0):
                pass
    except OSError as error:
        yield f"{LOOPBACK} does not answer ({error.strerror or error}): bring loopback up with `ip link set lo up`"


def _files() -> Iterator[str]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FILES:
        yield f"a process may have {most} open files, and {FILES} are needed: raise the limit with `ulimit -Hn {FILES}`"


def _memory() -> Iterator[str]:
    free = _meminfo("MemAvailable") + _meminfo("SwapFree")
    if free < MEMORY_MB:
        yield f"{free} MB of memory are free, and {MEMORY_MB} MB are needed: stop other programs"


def _meminfo(field: str) -> int:
    """Megabytes; as many as can be needed where the kernel does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return MEMORY_MB
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _temporary_directory() -> Iterator[str]:
    try:
        directory = Path(tempfile.gettempdir())
        free = shutil.disk_usage(directory).free // 1024**2
    except OSError as error:
        yield f"no temporary directory is writable ({error}): set TMPDIR to one"
        return
    if free < DISK_MB:
        yield f"{directory} has {free} MB left, and {DISK_MB} MB are needed: set TMPDIR to another directory"


def _shared_memory() -> Iterator[str]:
    if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        why = os.strerror(errno.ENOENT if not SHARED_MEMORY.exists() else errno.EACCES)
        yield f"an upgrade without a break needs {SHARED_MEMORY} ({why}): mount a tmpfs there"
