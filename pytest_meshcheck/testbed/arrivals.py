"""Progress of loads: requests sent, and requests at a server, as its ledger shows."""

from collections.abc import Iterable

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import Workload

PAUSE = 0.05
"""Seconds between two polls."""


async def arrivals(server: Workload, loads: Iterable[Load]) -> list[int]:
    """How many requests of each load have reached a server."""
    return [len(await server.attempts_of(load)) for load in loads]


async def more_arrive(server: Workload, *loads: Load, number: int, within: float) -> None:
    """Wait until so many more requests of each load have reached a server.

    If they do not arrive within so many seconds, this returns too: the outcome of the loads shows why.
    """
    before = await arrivals(server, loads)

    async def more() -> int:
        return min(now - then for now, then in zip(await arrivals(server, loads), before, strict=True))

    await converge(more, lambda seen: seen >= number, within, every=PAUSE)


async def more_sent(load: Load, *, number: int, within: float) -> None:
    """Wait until the load has sent so many more requests, or for so many seconds: its outcome has their number."""
    before = await load.sent_so_far()
    await converge(load.sent_so_far, lambda sent: sent >= before + number, within, every=PAUSE)
