"""Which of two instances of a workload receives the requests, as their ledgers show."""

import time
from collections.abc import Sequence

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.testbed.arrivals import arrivals

IN_A_ROW = 30
"""Consecutive requests of each load that reach the new instance: then no client sends to the old one any more."""

QUIET = 10.0
"""Seconds without a request after which an old instance counts as drained even if none reach the new one."""

LEARNED_WITHIN = 60.0
"""Seconds until all clients have learned that an instance was added or withdrawn."""

PAUSE = 0.2
"""Seconds between two polls."""


async def is_reached(server: Workload, loads: Sequence[Load], scale: float) -> bool:
    """Whether requests of every load reach an instance in time."""
    seen, _ = await converge(lambda: arrivals(server, loads), all, LEARNED_WITHIN * scale, every=PAUSE)
    return all(seen)


async def drained(old: Workload, new: Workload, loads: Sequence[Load], arriving: Sequence[Load], scale: float) -> None:
    """Wait until the old instance receives nothing, while consecutive requests of ``arriving`` reach the new one.

    Raises:
        Inconclusive: It still does after the time limit.
    """
    last, since, begun = await arrivals(old, loads), await arrivals(new, arriving), time.monotonic()

    async def is_drained() -> bool:
        nonlocal last, since, begun
        at_old, at_new = await arrivals(old, loads), await arrivals(new, arriving)
        if at_old != last:
            last, since, begun = at_old, at_new, time.monotonic()
        in_a_row = min((now - then for now, then in zip(at_new, since, strict=True)), default=IN_A_ROW)
        return in_a_row >= IN_A_ROW or time.monotonic() - begun > QUIET

    done, _ = await converge(is_drained, bool, LEARNED_WITHIN * scale, every=PAUSE)
    if not done:
        raise Inconclusive(f"requests still go to the old instance of {old} {LEARNED_WITHIN * scale:g} s later")
