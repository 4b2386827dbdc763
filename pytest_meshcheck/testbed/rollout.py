"""Rolling restarts: workloads get new instances, with new data planes, and loads on them and from them go on.

The order is that of a careful rolling update: new instances serve before services lead to them, and old ones go when
nobody sends to them any more. What their ledgers say is kept, so that no request is out of sight.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Replacing
from pytest_meshcheck.testbed.convergence import Question, calls, unconvinced
from pytest_meshcheck.testbed.succession import count, is_found, left_alone


@dataclass(frozen=True)
class Succession:
    """A workload that goes on as another instance.

    Attributes:
        old: The instance that goes.
        new: The workload, which is the new instance already.
        coming: The loads on it.
        served: Those of them that the old instance has seen.
    """

    old: Workload
    new: Workload
    coming: Sequence[Load]
    served: Sequence[Load]


async def roll(
    platform: Replacing, mesh: Mesh, workloads: Sequence[Workload], running: Sequence[Workload], scale: float
) -> None:
    """Restart workloads; they go on as their new instances.

    Those that loads go to come first, and the others when their old instances are gone: so there is a time when data
    planes of before have nothing but data planes of now to send to. Restarted together, each would go on with its like.

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
    loaded = {str(server) for one in running for load in one.loads for server in load.servers}
    for wave in ([w for w in workloads if str(w) in loaded], [w for w in workloads if str(w) not in loaded]):
        if wave:
            await _replace(platform, mesh, wave, running, scale)


async def _replace(
    platform: Replacing, mesh: Mesh, workloads: Sequence[Workload], running: Sequence[Workload], scale: float
) -> None:
    """Have them be succeeded all at once; none of the old ones goes before all are, as others still ask through it."""
    successions = await _each(_join(platform, mesh, workload, running) for workload in workloads)
    await _introduce(mesh, workloads, running, scale)
    await _each(load.move(one.old, one.new) for one in successions for load in one.new.loads)
    await _each(_take_over(platform, one, scale) for one in successions)
    await _each(_let_go(platform, one) for one in successions)
    await _introduce(mesh, workloads, running, scale)


async def _each(steps: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Have all of them end, also where one of them fails, as none may go on behind the back of the caller."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for one in results:
        if isinstance(one, BaseException):
            raise one
    return results


async def _join(platform: Replacing, mesh: Mesh, workload: Workload, running: Sequence[Workload]) -> Succession:
    successor = await platform.join(workload, mesh.enrolment(workload.spec))
    coming = [load for one in running for load in one.loads if any(server is workload for server in load.servers)]
    old = workload.replace_with(successor)
    for load in coming:
        load.servers.append(old)
    served = [load for load, seen in zip(coming, await count(old, coming), strict=True) if seen]
    return Succession(old, workload, coming, served)


async def _take_over(platform: Replacing, one: Succession, scale: float) -> None:
    found = await is_found(one.new, one.served, scale)
    await platform.withdraw(one.old)
    if found:
        await left_alone(one.old, one.new, one.coming, one.served, scale)


async def _let_go(platform: Replacing, one: Succession) -> None:
    for load in one.coming:
        await load.leave(one.old)
    await platform.let_go(one.old)


async def _introduce(mesh: Mesh, newcomers: Sequence[Workload], running: Sequence[Workload], scale: float) -> None:
    """Wait until newcomers and all others reach each other, and write down who does not."""
    questions: list[Question] = []
    met = [one for one in running if not any(one is newcomer for newcomer in newcomers)]
    for newcomer in newcomers:
        questions += calls(newcomer, met)
        met.append(newcomer)
    left = await unconvinced(questions, mesh.documented.policies_act_within, scale)
    seen = f"not reached: {'; '.join(map(str, left))}" if left else "reached by all"
    newcomers[0].journal.add("restart", ", ".join(map(str, newcomers)), seen)
