"""Wire captures on this machine: a recorder that relays connections from one data plane to the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.base import Wire
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.platforms.local.addresses import Member
from pytest_meshcheck.platforms.local.process_table import ProcessTable
from pytest_meshcheck.platforms.recording import RecordedWire, Recording
from pytest_meshcheck.probe.controller import Probe

RECORDER = "wire recorder"


@dataclass(eq=False)
class Wires:
    """The recordings that run now, by server and port; one process relays all of them.

    Attributes:
        processes: Starts the recorder.
        journal: The journal that records each search.
        rerouted: Awaited when data planes have to dial another address.
    """

    processes: ProcessTable
    journal: Journal
    rerouted: Callable[[], Awaitable[None]]
    _recordings: dict[tuple[str, str], Recording] = field(default_factory=dict)
    _recorder: "asyncio.Task[tuple[Child, Probe]] | None" = None

    def records(self, client: str, server: str, port: str) -> bool:
        """Whether connections from a client's data plane to this port are recorded."""
        recording = self._recordings.get((server, port))
        return recording is not None and recording.client == client

    @asynccontextmanager
    async def wire(self, client: str, target: Member, port: str) -> AsyncIterator[Wire]:
        """Record new connections while the block runs.

        Raises:
            ValueError: The port is being recorded already.
        """
        key = str(target), port
        if key in self._recordings:
            raise ValueError(f"port {port} of {target} is being recorded already: leave that block first")
        if self._recorder is None:
            self._recorder = asyncio.create_task(self.processes.start_probe(RECORDER))
        _, recorder = await self._recorder
        recording = Recording(client, str(target), port, recorder)
        await recording.begin(target.recorder(port), target.data_plane(port))
        self._recordings[key] = recording
        try:
            await self.rerouted()
            yield RecordedWire(recording, self.journal)
        finally:
            del self._recordings[key]
            await self.rerouted()
            await recording.end()

    async def discard_dead(self) -> None:
        """Forget a recorder that has died; the next recording starts another."""
        for child in [child for child in self.processes.children if child.lost and child.name == RECORDER]:
            await self.processes.discard(child)
            self._recorder = None

    def close(self) -> None:
        """Start no recorder any more."""
        if self._recorder is not None:
            self._recorder.cancel()
