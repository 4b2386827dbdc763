"""Runs the user's ``helm``: its arguments, its environment, and its output."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.model.redaction import redacted

PROGRAM = "helm"
INSTALL = "https://helm.sh/docs/intro/install/"

ELSEWHERE = re.compile(r"HELM_KUBE|HELM_NAMESPACE$|HELM_DEBUG$")
"""Variables that would lead helm to another cluster, or make it verbose."""

CHATTER = re.compile(r"WARNING:|[IW]\d{4} |level=(INFO|WARN)")
"""Beginnings of lines that do not state the error: of helm, and of its Kubernetes client."""

ANSWERS_WITHIN = 60.0
"""Seconds for a query about charts; an index of charts has megabytes."""

GRACE = 5.0
"""Seconds in which an interrupted helm may record that its release failed, which the next installation requires."""


class HelmFailed(Exception):
    """helm ended with an error, reported in one line."""


def environment(**over: str) -> dict[str, str]:
    """The user's environment, so that helm finds its configuration, its plugins and proxies; ``over`` overrules it."""
    return {name: value for name, value in os.environ.items() if not ELSEWHERE.match(name)} | over


def ask(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What helm answers to a question that needs no cluster.

    Raises:
        HelmFailed: It answers with an error, or not in time.
        MeshUnavailable: There is no helm.
    """
    command = [PROGRAM, *arguments]
    try:
        ran = subprocess.run(
            command,
            env=env or environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=ANSWERS_WITHIN,
        )
    except FileNotFoundError as missing:
        raise MeshUnavailable(f"no program {PROGRAM} on the PATH: install it ({INSTALL})") from missing
    except OSError as error:
        raise MeshUnavailable(f"{PROGRAM} cannot be started: {error.strerror}; install it ({INSTALL})") from error
    except subprocess.TimeoutExpired as late:
        raise HelmFailed(f"no answer within {ANSWERS_WITHIN:.0f} s") from late
    if ran.returncode:
        raise HelmFailed(complaint(ran.stderr))
    return ran.stdout


async def call(*arguments: str, env: Mapping[str, str]) -> str:
    """What helm writes in this environment; whatever interrupts the call ends helm first.

    Raises:
        HelmFailed: It ends with an error.
        Inconclusive: It cannot be started.
    """
    try:
        process = await _started(*arguments, env=env)
    except OSError as error:
        raise Inconclusive(f"{PROGRAM} cannot be started: {error.strerror}") from error
    try:
        out, err = await process.communicate()
    except BaseException:
        await _end(process)
        raise
    if process.returncode:
        raise HelmFailed(complaint(err.decode(errors="replace")))
    return out.decode(errors="replace")


def complaint(text: str, lines: int = 3) -> str:
    """The last lines of helm that state the error, as one line without private keys."""
    said = [line.strip() for line in redacted(text).splitlines() if line.strip() and not CHATTER.match(line)]
    begins = [number for number, line in enumerate(said) if line.startswith("Error: ")]
    relevant = said[begins[-1] :] if begins else said
    return " ".join(relevant[-lines:]).removeprefix("Error: ") or "it said nothing"


async def _started(*arguments: str, env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """helm, running; a start that is interrupted is completed first, as asyncio would lose what helm has started."""
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            PROGRAM,
            *arguments,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Terminate helm and its children, then kill them, and wait for their end."""
    try:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
    finally:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
