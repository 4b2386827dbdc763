"""A read-write lock over a mesh that several xdist workers share: actions on the whole mesh hold it exclusively."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class MeshLock:
    """A lock that checks share, and that some hold exclusively.

    Attributes:
        file: The lock's file; None if no other process uses the mesh.
    """

    file: Path | None = None
    _held: int | None = None
    _is_exclusive: bool = False

    @asynccontextmanager
    async def held(self, *, exclusive: bool) -> AsyncIterator[None]:
        """Hold the lock for one check, shared or exclusively; waiting for it leaves the event loop running."""
        if self.file is None:
            yield
            return
        self._held = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._is_exclusive = exclusive
        try:
            await asyncio.to_thread(fcntl.flock, self._held, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(self._held)
            self._held = None

    @property
    def outages(self) -> int:
        """The outages that holders have counted: the length of the file."""
        return 0 if self._held is None else os.fstat(self._held).st_size

    def count_outage(self) -> None:
        """Count an outage of a part of the mesh, for the data planes of other processes met it as well."""
        if self._held is not None:
            os.write(self._held, b".")

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold the lock exclusively within a check that shares it; other checks may run in between."""
        if self._held is None or self._is_exclusive:
            yield
            return
        await asyncio.to_thread(fcntl.flock, self._held, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._held, fcntl.LOCK_SH)
