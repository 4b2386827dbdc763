"""The polls that involve a workload, by which the suite waits for its data plane."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Polls:
    """The polls of one workload: those that it makes, and those of others that call it.

    Attributes:
        closed: Whether it is about to be stopped, and is polled no more.
    """

    def __init__(self) -> None:
        self.closed = False
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A poll is under way while the block runs."""
        self._under_way += 1
        self._none_under_way.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._none_under_way.set()

    async def close(self) -> None:
        """Begin no further poll, and wait for the end of those under way, which would take a stop for a failure."""
        self.closed = True
        await self._none_under_way.wait()
