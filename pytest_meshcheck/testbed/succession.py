"""Which of two instances of a workload requests go to, as its ledgers tell."""

import time
from collections.abc import Iterable, Sequence

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import Workload

IN_A_ROW = 30
"""Requests of each load that go to the new instance in a row: then nobody sends to the old one any more."""

QUIET = 10.0
"""Seconds without a request after which an old instance is left alone as well, where none arrive at the new one."""

LEARNED_WITHIN = 60.0
"""Seconds until all clients have learned that they are to send to another instance as well, or no more to one."""

PAUSE = 0.2


async def count(server: Workload, loads: Iterable[Load]) -> list[int]:
    """How many requests of each load an instance has seen."""
    return [len(await server.saw_of(load)) for load in loads]


async def is_found(server: Workload, loads: Sequence[Load], scale: float) -> bool:
    """Whether requests of every load come to arrive at an instance."""
    seen, _ = await converge(lambda: count(server, loads), all, LEARNED_WITHIN * scale, every=PAUSE)
    return all(seen)


async def left_alone(
    old: Workload, new: Workload, loads: Sequence[Load], arriving: Sequence[Load], scale: float
) -> None:
    """Wait until no load goes to the old instance any more, as many requests in a row of those that arrive show.

    Raises:
        Inconclusive: That never comes.
    """
    last, since, begun = await count(old, loads), await count(new, arriving), time.monotonic()

    async def is_left() -> bool:
        nonlocal last, since, begun
        arrived, found = await count(old, loads), await count(new, arriving)
        if arrived != last:
            last, since, begun = arrived, found, time.monotonic()
        in_a_row = min((now - then for now, then in zip(found, since, strict=True)), default=IN_A_ROW)
        return in_a_row >= IN_A_ROW or time.monotonic() - begun > QUIET

    left, _ = await converge(is_left, bool, LEARNED_WITHIN * scale, every=PAUSE)
    if not left:
        raise Inconclusive(f"requests still go to the old instance of {old} {LEARNED_WITHIN * scale:g} s later")
