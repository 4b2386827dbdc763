"""The evidence of one check: the state of mesh and platform, captured while a violation can still be seen in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.testbed.workloads import Stage


@dataclass
class Evidence:
    """The evidence of the current check.

    Attributes:
        adapter: The mesh.
        stage: The workloads, and their platform.
        directory: Where the state is written; None: nothing is captured.
    """

    adapter: Mesh
    stage: Stage
    directory: Path | None = None

    async def capture(self) -> None:
        """Write the state of mesh and platform, once per check.

        Raises:
            OSError: It cannot be written.
        """
        if self.directory is None or self.directory.exists():
            return
        self.directory.mkdir(parents=True)
        try:
            await self.adapter.diagnose(self.directory)
        finally:
            await self.stage.platform.diagnose(self.directory)

    @asynccontextmanager
    async def captured(self) -> AsyncIterator[None]:
        """Capture the state in which a violation is found while the block runs; a failure becomes a note on it."""
        try:
            yield
        except Violation as violation:
            await self._capture_for(violation)
            raise

    async def _capture_for(self, violation: Violation) -> None:
        try:
            await self.capture()
        except OSError as trouble:
            violation.add_note(f"and the state of the mesh could not be kept: {trouble}")
        try:
            await self._read_ledgers(violation.request_id)
        except Inconclusive as trouble:
            violation.add_note(f"and what reached the server is not known: {trouble}")

    async def _read_ledgers(self, request_id: str) -> None:
        """Record which attempts of a request reached its server, also if the check had no reason to ask."""
        entries = self.stage.platform.journal.entries
        sent = [entry for entry in entries if getattr(entry.observation, "request_id", "") == request_id]
        servers = {entry.subject.rpartition(" -> ")[2] for entry in sent if request_id}
        for workload in self.stage.running:
            if str(workload) in servers:
                await workload.attempts(request_id)
