"""Convergence polls that involve a workload."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Polls:
    """Counts the polls in progress that involve a workload, as caller or as server.

    Attributes:
        closed: Whether the workload is about to stop, so that no new poll may begin.
    """

    def __init__(self) -> None:
        self.closed = False
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._none_under_way.set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a poll while the block runs."""
        self._under_way += 1
        self._none_under_way.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._none_under_way.set()

    async def close(self) -> None:
        """Allow no new polls, and wait for those in progress, which would take a stopped workload for a failure."""
        self.closed = True
        await self._none_under_way.wait()
