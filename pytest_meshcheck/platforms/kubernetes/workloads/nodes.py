"""The nodes of a kind cluster, which are containers of this machine."""

import asyncio
import subprocess

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.containers import last_lines, provider, run

RESTARTS_WITHIN = 120.0
"""Seconds until the container of a node has stopped and started again."""


async def restart(node: str) -> None:
    """Restart a node, and with it all that runs there.

    Raises:
        Inconclusive: It cannot be restarted.
        MeshUnavailable: The environment names an unknown container engine.
    """
    command = (provider(), "restart", node)
    try:
        ran = await asyncio.to_thread(run, command, RESTARTS_WITHIN)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Inconclusive(f"the node {node} cannot be restarted: {error}") from error
    if ran.returncode:
        raise Inconclusive(f"the node {node} cannot be restarted: {last_lines(ran)}")
