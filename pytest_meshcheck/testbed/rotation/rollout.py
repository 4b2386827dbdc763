"""Rolling restarts: workloads get new instances, with new data planes, while loads from and to them continue.

The order is that of a careful rolling update: new instances serve before services lead to them, and old ones stop once
they receive no more requests. Their ledgers are kept, so that every request stays accounted for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Replacing
from pytest_meshcheck.testbed.arrivals import arrivals
from pytest_meshcheck.testbed.convergence.conditions import Condition, reachability, unmet
from pytest_meshcheck.testbed.rotation.drain import drained, is_reached


@dataclass(frozen=True)
class Replacement:
    """A workload that continues as another instance.

    Attributes:
        old: The instance that is to stop.
        new: The workload, which is the new instance already.
        incoming: The loads on it.
        served: The incoming loads that have reached the old instance.
    """

    old: Workload
    new: Workload
    incoming: Sequence[Load]
    served: Sequence[Load]


Wave = Sequence[Workload]
"""Workloads that restart together."""


async def go_on(_wave: Wave) -> None:
    """Begin the next wave at once."""


def node_by_node(workloads: Sequence[Workload], node_of: Callable[[Workload], str]) -> Sequence[Wave]:
    """The workloads of each node, beginning with the node of the first workload."""
    nodes: dict[str, list[Workload]] = {}
    for one in workloads:
        nodes.setdefault(node_of(one), []).append(one)
    return list(nodes.values())


def servers_first(workloads: Sequence[Workload], running: Sequence[Workload]) -> tuple[Wave, Wave]:
    """Servers under load, and the others.

    Old clients must then talk to new servers for a while; restarting all together would never exercise that.

    Args:
        workloads: The workloads to restart.
        running: All that run, including the callers of those.
    """
    loaded = {str(server) for one in running for load in one.loads for server in load.servers}
    return [w for w in workloads if str(w) in loaded], [w for w in workloads if str(w) not in loaded]


async def roll(
    platform: Replacing,
    mesh: Mesh,
    waves: Iterable[Wave],
    running: Sequence[Workload],
    scale: float,
    *,
    after: Callable[[Wave], Awaitable[None]] = go_on,
) -> None:
    """Restart workloads wave by wave; they continue as their new instances.

    A wave begins once the old instances of the wave before have stopped. A new instance that others do not reach is
    recorded, and left to the check.

    Args:
        platform: The platform that they run on.
        mesh: The mesh of their new data planes.
        waves: The workloads to restart, in the order of their restarts.
        running: All that run, including the callers of those.
        scale: The factor for time limits.
        after: Awaited after each wave.

    Raises:
        Inconclusive: An instance does not start, or clients keep sending to an old one.
    """
    for wave in filter(None, waves):
        await _replace(platform, mesh, wave, running, scale)
        await after(wave)


async def _replace(
    platform: Replacing, mesh: Mesh, workloads: Sequence[Workload], running: Sequence[Workload], scale: float
) -> None:
    """Replace all at once; no old instance stops before all are replaced, because others still send through it."""
    replacements = await _each(_add_instance(platform, mesh, workload, running) for workload in workloads)
    await _introduce(mesh, workloads, running, scale)
    await _each(load.move(one.old, one.new) for one in replacements for load in one.new.loads)
    await _each(_drain(platform, one, scale) for one in replacements)
    await _each(_remove_old(platform, one) for one in replacements)
    await _introduce(mesh, workloads, running, scale)


async def _each(steps: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Wait for all of them, even if one fails, so that none continues after this has returned."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for one in results:
        if isinstance(one, BaseException):
            raise one
    return results


async def _add_instance(
    platform: Replacing, mesh: Mesh, workload: Workload, running: Sequence[Workload]
) -> Replacement:
    new_instance = await platform.add_instance(workload, mesh.enrolment(workload.spec))
    incoming = [load for one in running for load in one.loads if any(server is workload for server in load.servers)]
    old = workload.replace_with(new_instance)
    for load in incoming:
        load.servers.append(old)
    served = [load for load, seen in zip(incoming, await arrivals(old, incoming), strict=True) if seen]
    return Replacement(old, workload, incoming, served)


async def _drain(platform: Replacing, one: Replacement, scale: float) -> None:
    reached = await is_reached(one.new, one.served, scale)
    await platform.drain(one.old)
    if reached:
        await drained(one.old, one.new, one.incoming, one.served, scale)


async def _remove_old(platform: Replacing, one: Replacement) -> None:
    for load in one.incoming:
        await load.leave(one.old)
    await platform.remove_old(one.old)


async def _introduce(mesh: Mesh, newcomers: Sequence[Workload], running: Sequence[Workload], scale: float) -> None:
    """Wait until newcomers and all others reach each other, and record who does not."""
    conditions: list[Condition] = []
    introduced = [one for one in running if not any(one is newcomer for newcomer in newcomers)]
    for newcomer in newcomers:
        conditions += reachability(newcomer, introduced)
        introduced.append(newcomer)
    left = await unmet(conditions, mesh.documented.follows_within, scale)
    seen = f"not reached: {'; '.join(map(str, left))}" if left else "reached by all"
    newcomers[0].journal.add("restart", ", ".join(map(str, newcomers)), seen)
