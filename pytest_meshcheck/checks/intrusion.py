"""Leaks during a disruption: requests that get in, text that can be read on the wire."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from pytest_meshcheck.checks.expect import expect
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.platforms.base import Wire


@asynccontextmanager
async def kept_out(intruding: AbstractAsyncContextManager[Load], what: str) -> AsyncIterator[Load]:
    """A load while the block runs, none of whose requests may get through.

    That is judged at the end of the block, however it ends: a leak is a violation although a part of the mesh that the
    block has stopped does not come back.

    Args:
        intruding: The load, not yet begun.
        what: What it is called in messages.
    """
    begun: list[Load] = []

    async def judge() -> None:
        for load in begun:
            if load.outcome is not None:
                expect(load.outcome, what).refused()

    async with _judged_at_the_end(judge), intruding as intrusion:
        begun.append(intrusion)
        yield intrusion


@asynccontextmanager
async def kept_unreadable(watched: AbstractAsyncContextManager[Wire], *canaries: str) -> AsyncIterator[Wire]:
    """A capture while the block runs, in which none of these texts may be found.

    That is judged at the end of the block, however it ends, as with ``kept_out``.
    """
    async with watched as wire:

        async def judge() -> None:
            expect(await wire.look_for(*canaries)).unreadable()

        async with _judged_at_the_end(judge):
            yield wire


@asynccontextmanager
async def _judged_at_the_end(judge: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Judge at the end of a block; the block's own violation, or the reason why it has no verdict, is not replaced."""
    try:
        yield
    except Violation:
        raise
    except Exception:
        with suppress(Inconclusive):
            await judge()
        raise
    await judge()
