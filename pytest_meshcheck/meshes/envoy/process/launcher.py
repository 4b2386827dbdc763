"""Starts, stops and replaces the processes of sidecars."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pytest_meshcheck.meshes.envoy.process.bootstrap import command
from pytest_meshcheck.meshes.envoy.process.hot_restart import ENDS
from pytest_meshcheck.meshes.envoy.process.sidecar import Sidecar
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.platforms.local.platform import Processes


@dataclass(frozen=True)
class Launcher:
    """The processes of all sidecars of one mesh.

    Attributes:
        platform: Owns the processes.
        binary: Envoy's program.
        patience: The time limit in seconds for a sidecar to accept its configuration, and for a replaced one to end.
        one_at_a_time: Held while a sidecar is replaced: all at once would take the CPU time that the traffic needs.
    """

    platform: Processes
    binary: Path
    patience: float
    one_at_a_time: asyncio.Lock

    async def run(self, sidecar: Sidecar) -> None:
        """Start the process of a sidecar."""
        argv = command(self.binary, sidecar.node, sidecar.generation)
        name = f"sidecar of {sidecar.workload}"
        sidecar.runs_as(await self.platform.spawn(name, argv, cwd=sidecar.directory))

    async def stop(self, sidecar: Sidecar) -> None:
        """Kill the process of a sidecar, if it has one."""
        sidecar.close()
        if sidecar.child is not None:
            await self.platform.discard(sidecar.child)
            sidecar.forget_stream()

    async def restart(self, sidecar: Sidecar) -> None:
        """Kill the process of a sidecar, and start another one in its place."""
        await self.stop(sidecar)
        if sidecar.generation is not None:
            sidecar.generation = sidecar.generation.first
        await self.run(sidecar)

    async def take_over(self, sidecar: Sidecar) -> Child:
        """Start a new process that takes over; returns the old one, which drains.

        Raises:
            Inconclusive: The sidecar was not started for hot restart, or the new process rejects its configuration.
        """
        old = sidecar.child
        if sidecar.generation is None or old is None:
            raise Inconclusive(
                f"the sidecar of {sidecar.workload} runs without hot restart, so no other process can take over"
            )
        async with self.one_at_a_time:
            old.retire()
            sidecar.generation = sidecar.generation.successor
            await self.run(sidecar)
            await sidecar.settled(self.patience)
        return old

    async def end(self, old: Child) -> None:
        """Wait until a process that was replaced in an upgrade has drained and ended.

        Raises:
            Inconclusive: It does not end in time.
        """
        try:
            await asyncio.wait_for(old.process.wait(), ENDS + self.patience)
        except TimeoutError as late:
            raise Inconclusive(f"the replaced {old.name} did not exit") from late
        finally:
            await self.platform.discard(old)
