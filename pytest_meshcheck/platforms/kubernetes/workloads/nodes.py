"""The nodes of a kind cluster, which are containers of this machine."""

import asyncio
import subprocess

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.containers import last_lines, provider, run

RESTARTS_WITHIN = 120.0
"""Seconds until the container of a node has stopped and started again."""

SCRIPT_ENDS_WITHIN = 30.0


async def restart(node: str) -> None:
    """Restart a node, and with it all that runs there.

    Raises:
        Inconclusive: It cannot be restarted.
        MeshUnavailable: The environment names an unknown container engine.
    """
    await _engine(f"the node {node} cannot be restarted", RESTARTS_WITHIN, "restart", node)


async def shell_output(node: str, script: str) -> str:
    """The output of a shell script on a node.

    Raises:
        Inconclusive: It cannot be run, fails, or does not end in time.
        MeshUnavailable: The environment names an unknown container engine.
    """
    return await _engine(f"the node {node} cannot be inspected", SCRIPT_ENDS_WITHIN, "exec", node, "sh", "-c", script)


async def _engine(failure: str, within: float, *arguments: str) -> str:
    """The output of the container engine; Inconclusive, which begins with ``failure``, if it fails or is late."""
    try:
        ran = await asyncio.to_thread(run, (provider(), *arguments), within)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Inconclusive(f"{failure}: {error}") from error
    if ran.returncode:
        raise Inconclusive(f"{failure}: {last_lines(ran)}")
    return ran.stdout
