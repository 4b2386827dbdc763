"""The container engine of this machine, and running programs to their end."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.children import tethered

PROVIDER = "KIND_EXPERIMENTAL_PROVIDER"
"""The variable that selects kind's container engine: https://kind.sigs.k8s.io/docs/user/rootless/."""

PROVIDERS = ("docker", "nerdctl", "podman")
"""In the order in which kind looks for them."""

NERDCTL = ("finch", "nerdctl.lima")
"""Other names of nerdctl, which kind takes as well."""

DOCKER_HOST = "DOCKER_HOST"
DOCKER_CONTEXT = "DOCKER_CONTEXT"
DOCKER_CONFIG = "DOCKER_CONFIG"
DEFAULT_CONTEXT = "default"
"""The variables that lead docker to a daemon: https://docs.docker.com/engine/manage-resources/contexts/."""

ENDS_WITHIN = 5.0
"""Seconds that the helpers of an interrupted program have to finish their work."""

PAUSE = 0.05


class Engine(msgspec.Struct, frozen=True):
    """The container engine that runs the nodes of a kind cluster; as text, the variables that select it.

    Attributes:
        provider: The program.
        daemon: The variables that lead docker to its daemon; empty for other programs.
    """

    provider: str
    daemon: str = ""

    def __str__(self) -> str:
        return f"{PROVIDER}={self.provider} {self.daemon}".strip()


class _DockerConfig(msgspec.Struct, rename="camel"):
    current_context: str = ""


def engine() -> Engine:
    """The container engine that kind uses in this environment; raises as ``provider``."""
    program = provider()
    return Engine(program, _daemon() if program == PROVIDERS[0] else "")


def provider() -> str:
    """The program with which kind runs its nodes; our images have to be where it looks for them.

    Raises:
        MeshUnavailable: The environment names one that kind does not know.
    """
    asked = os.environ.get(PROVIDER, "")
    if asked and asked not in (*PROVIDERS, *NERDCTL):
        raise MeshUnavailable(f"{PROVIDER}={asked}: valid are {', '.join((*PROVIDERS, *NERDCTL))}")
    return asked or next(filter(shutil.which, PROVIDERS), PROVIDERS[0])


def _daemon() -> str:
    if host := os.environ.get(DOCKER_HOST):
        return f"{DOCKER_HOST}={host}"
    context = os.environ.get(DOCKER_CONTEXT) or _current_context() or DEFAULT_CONTEXT
    return f"{DOCKER_HOST}= {DOCKER_CONTEXT}={context}"


def _current_context() -> str:
    """The context in docker's configuration; empty if there is none, or if the file is unreadable, as in docker."""
    folder = os.environ.get(DOCKER_CONFIG) or Path.home() / ".docker"
    try:
        return msgspec.json.decode(Path(folder, "config.json").read_bytes(), type=_DockerConfig).current_context
    except (OSError, msgspec.DecodeError):
        return ""


def run(command: Sequence[str], patience: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run to the end; Ctrl-C is for us, not for it, and ends it nevertheless, as our own death does.

    Raises:
        FileNotFoundError: There is no such program.
        subprocess.TimeoutExpired: It did not end within so many seconds.
    """
    process = subprocess.Popen(
        tethered(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=patience)
    except BaseException:
        _end(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def last_lines(ran: subprocess.CompletedProcess[str]) -> str:
    """The last lines of output of a program, for messages."""
    lines = [line.strip() for line in (ran.stderr or ran.stdout).splitlines() if line.strip()]
    return " ".join(lines[-3:]) or f"exit code {ran.returncode}"


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill a program; its helpers may finish, because a container that is being made appears even if they die."""
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    until = time.monotonic() + ENDS_WITHIN
    while _is_group(process.pid) and time.monotonic() < until:
        time.sleep(PAUSE)
    if _is_group(process.pid):
        os.killpg(process.pid, signal.SIGKILL)


def _is_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
