"""Loads that must not get in."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pytest_meshcheck.checks.expect import expect
from pytest_meshcheck.model.load import Load


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
