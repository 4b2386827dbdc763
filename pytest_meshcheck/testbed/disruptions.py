"""Outages of parts of the mesh, and restarts of data planes; each outage ends with its block, however that ends."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import BEGINS, ENDS, Journal
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Killing, Restarting
from pytest_meshcheck.testbed.evidence import Evidence
from pytest_meshcheck.testbed.reconnection import Reconnection

T = TypeVar("T")


@dataclass
class Outage:
    """An outage of a part of the mesh.

    Attributes:
        ended: When that part worked again, by the clock ``time.monotonic``; 0 while it does not.
    """

    ended: float = 0.0

    @property
    def seconds_since(self) -> float:
        """Seconds since it ended."""
        return time.monotonic() - self.ended


@dataclass(frozen=True)
class Disruptions:
    """What a check can break.

    Attributes:
        adapter: The mesh.
        journal: The journal of what happens.
        evidence: Captures the state in which a check found a violation.
        flush: Deletes the policies that are no longer in use, which an outage would keep in effect.
        reconnection: Waits until data planes follow a control plane that is back.
    """

    adapter: Mesh
    journal: Journal
    evidence: Evidence
    flush: Callable[[], Awaitable[None]]
    reconnection: Reconnection

    def authority_outage(self, *, until_followed: bool = True) -> AbstractAsyncContextManager[Outage]:
        """The authority issues nothing while the block runs; it works again when the block has ended.

        Data planes follow it again then, too, unless the check itself waits for that.

        Raises:
            Unsupported: The authority cannot be stopped.
            Inconclusive: It does not come back.
        """
        return self._outage("outage of the authority", self.adapter.authority_outage, until_followed=until_followed)

    def deregistration(self, workload: Workload) -> AbstractAsyncContextManager[None]:
        """The authority does not know the workload while the block runs; it is registered again when it has ended.

        Raises:
            Unsupported: The mesh does not register workloads one by one.
            Inconclusive: The workload was not registered.
        """
        return self._during(f"deregistration of {workload}", lambda: self.adapter.deregistration(workload))

    def control_plane_outage(self, *, until_followed: bool = True) -> AbstractAsyncContextManager[Outage]:
        """Nothing configures data planes while the block runs; the control plane works again when it has ended.

        Data planes follow it again then, too, unless the check itself waits for that.

        Raises:
            Unsupported: The control plane cannot be stopped.
            Inconclusive: It does not come back.
        """
        begin = self.adapter.control_plane_outage
        return self._outage("outage of the control plane", begin, until_followed=until_followed)

    def control_plane_return(self) -> AbstractAsyncContextManager[Outage]:
        """Restart the control plane; the block runs as soon as it reports ready, while data planes may still reconnect.

        Raises:
            Unsupported: The control plane cannot be stopped.
            Inconclusive: It does not come back.
        """
        return self._outage("return of the control plane", self.adapter.control_plane_return)

    @asynccontextmanager
    async def authority_files(self, files: AuthorityFiles) -> AsyncIterator[str]:
        """The control plane is given these files of an authority while the block runs, and then those that it had.

        Yields its complaint about them; empty if it has none.
        """
        await self.flush()
        sound = AuthorityFiles.of(self.adapter.authority)

        @asynccontextmanager
        async def given() -> AsyncIterator[str]:
            try:
                yield await self.adapter.give_authority(files)
            finally:
                await self.adapter.give_authority(sound)

        async with _first_error(given()) as said:
            self.journal.add("disruption", "the authority's files", said)
            yield said

    def data_plane_replacement(self, workload: Workload) -> AbstractAsyncContextManager[None]:
        """Replace the data plane of a workload: the new one works and the old one drains while the block runs.

        Raises:
            Unsupported: It cannot be replaced.
            Inconclusive: The new one does not work.
        """
        return self._during(
            f"replacement of the data plane of {workload}", lambda: self.adapter.data_plane_replacement(workload)
        )

    async def prepare_to_kill(self, workload: Workload) -> None:
        """Prepare to kill the data plane of a workload in an outage, in which no pod may be able to start.

        Raises:
            Inconclusive: It cannot be killed.
        """
        platform = self.reconnection.stage.platform
        if isinstance(platform, Killing):
            await platform.prepare_to_kill(workload)

    async def kill_data_plane(self, workload: Workload) -> None:
        """Kill the data plane of a workload, and return once another one has been started, whether that works or not.

        Raises:
            Unsupported: It cannot be killed on its own.
            Inconclusive: No other one is started.
        """
        self._note_outage_of_node()
        with self.journal.action("kill", f"data plane of {workload}"):
            await self.adapter.kill_data_plane(workload)

    async def restart_data_plane(self, workload: Workload) -> None:
        """Kill the data plane of a workload, and wait until it works again.

        Raises:
            Unsupported: It cannot be killed on its own.
            Inconclusive: It does not come back.
        """
        await self.flush()
        self._note_outage_of_node()
        with self.journal.action("restart", f"data plane of {workload}"):
            await self.adapter.restart_data_plane(workload)

    async def insist_on_node_restarts(self) -> None:
        """Raise Unsupported unless a node can be restarted while another one works on."""
        await self._restarting.insist_on_restarts()

    async def restart_node(self, workload: Workload) -> Workload:
        """Restart the node of a workload that a check has deployed, and return the workload as it is afterwards.

        Workloads of the stage on that node start anew when they are next requested.

        Raises:
            Unsupported: The platform has no nodes that can be restarted.
            Inconclusive: The node or the workload does not come back.
        """
        await self.flush()
        with self.journal.action("restart", f"node of {workload}"):
            again, stopped = await self._restarting.restart_node(workload)
        stage = self.reconnection.stage
        for one in stage.running:
            if str(one) in stopped:
                one.unreached = f"{one} was stopped for a restart of its node"
        await stage.remove_dead()
        self.reconnection.note_outage()
        return again

    def _note_outage_of_node(self) -> None:
        """The data plane of a node is that of other processes, too, whether or not it comes back."""
        if self.adapter.data_plane_of_node:
            self.reconnection.note_outage()

    @property
    def _restarting(self) -> Restarting:
        platform = self.reconnection.stage.platform
        if not isinstance(platform, Restarting):
            raise Unsupported(f"there are no nodes to restart on {platform}")
        return platform

    @asynccontextmanager
    async def _outage(
        self, what: str, begin: Callable[[], AbstractAsyncContextManager[None]], *, until_followed: bool = True
    ) -> AsyncIterator[Outage]:
        outage = Outage()
        self.reconnection.begin_outage()
        try:
            async with self._during(what, begin):
                yield outage
        except Exception as error:
            try:
                # The next check must not meet data planes that do not follow yet.
                await self.reconnection.after_own_outage()
            except Inconclusive as trouble:
                error.add_note(f"and data planes do not follow: {trouble}")
            raise
        outage.ended = time.monotonic()
        if until_followed:
            await self.reconnection.after_own_outage()
        else:
            self.reconnection.note_outage()

    @asynccontextmanager
    async def _during(self, what: str, begin: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
        await self.flush()
        async with _first_error(begin()):
            self.journal.add("disruption", what, BEGINS)
            async with self.evidence.captured():
                yield
        self.journal.add("disruption", what, ENDS)


@asynccontextmanager
async def _first_error(block: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """Run a block. If its body has failed, a failure to undo it becomes a note on that error."""
    failed: Exception | None = None
    try:
        async with block as value:
            try:
                yield value
            except Exception as error:
                failed = error
                raise
    except Exception as trouble:
        if failed is None or failed is trouble:
            raise
        failed.add_note(f"and it could not be undone: {trouble}")
        raise failed from failed.__cause__
