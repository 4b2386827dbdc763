"""What must not happen while a check breaks something: loads that get in, texts that can be read."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pytest_meshcheck.checks.expect import expect
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
    load: Load | None = None
    try:
        async with intruding as load:
            yield load
    finally:
        if load is not None and load.outcome is not None:
            expect(load.outcome, what).refused()


@asynccontextmanager
async def kept_unreadable(watched: AbstractAsyncContextManager[Wire], *canaries: str) -> AsyncIterator[Wire]:
    """A capture while the block runs, in which none of these texts may be found.

    That is judged at the end of the block, however it ends, as with ``kept_out``.
    """
    async with watched as wire:
        try:
            yield wire
        finally:
            expect(await wire.look_for(*canaries)).unreadable()
