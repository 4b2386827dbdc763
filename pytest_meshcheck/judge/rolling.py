"""Rolling restarts: each workload gets a new instance, with a new data plane, and loads on it and from it go on.

The order is that of a careful rolling update: the new instance serves before the service leads to it, and the old one
goes when nobody sends to it any more. What its ledger says is kept, so that no request is out of sight.
"""

import asyncio
from collections.abc import Sequence

from pytest_meshcheck.judge.succession import count, is_found, left_alone
from pytest_meshcheck.judge.witness import calls, unconvinced
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.platforms.base import Replacing
from pytest_meshcheck.stage.workload import Workload


async def roll(
    platform: Replacing, mesh: Mesh, workloads: Sequence[Workload], running: Sequence[Workload], scale: float
) -> None:
    """Restart workloads, all at once, as ``kubectl rollout restart`` does; they go on as their new instances.

    A new instance that others do not reach is written down, and left to the check: that may be what it is about.

    Args:
        platform: Where they run.
        mesh: What their new data planes belong to.
        workloads: Those that are restarted.
        running: All that run, among them whoever calls those.
        scale: What patience is multiplied by.

    Raises:
        Inconclusive: An instance does not start, or clients go on sending to an old one.
    """
    restarts = (_replace(platform, mesh, workload, running, scale) for workload in workloads)
    for trouble in await asyncio.gather(*restarts, return_exceptions=True):
        if trouble is not None:
            raise trouble


async def _replace(
    platform: Replacing, mesh: Mesh, workload: Workload, running: Sequence[Workload], scale: float
) -> None:
    successor = await platform.join(workload, mesh.enrolment(workload.spec))
    coming = [load for one in running for load in one.loads if any(server is workload for server in load.servers)]
    old = workload.become(successor)
    for load in coming:
        load.servers.append(old)
    served = [load for load, seen in zip(coming, await count(old, coming), strict=True) if seen]
    await _introduce(mesh, workload, running, scale)
    if await is_found(workload, served, scale):
        await platform.withdraw(old)
        await left_alone(old, workload, coming, served, scale)
    else:
        await platform.withdraw(old)
    for load in workload.loads:
        await load.move(old, workload)
    for load in coming:
        await load.leave(old)
    await platform.let_go(old)
    await _introduce(mesh, workload, running, scale)


async def _introduce(mesh: Mesh, workload: Workload, running: Sequence[Workload], scale: float) -> None:
    left = await unconvinced(calls(workload, running), mesh.documented.policies_act_within, scale)
    seen = f"not reached: {'; '.join(map(str, left))}" if left else "reached by all"
    workload.journal.add("restart", str(workload), seen)
