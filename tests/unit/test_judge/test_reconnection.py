"""After an outage the next check meets data planes that serve."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_meshcheck.checks.expect import control
from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.testbed.lock import MeshLock
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from tests.falsify import parts
from tests.falsify.defect import Resources
from tests.falsify.meshes.control_planes import Changing

HEALS_AFTER = 0.4
"""Seconds."""


class HealsLate(Changing):
    """Its servers answer 503 for a while after an outage, as with certificates that have expired meanwhile."""

    documented = replace(
        EnvoyMesh.documented,
        policies_act_within=2.0,
        outage=replace(EnvoyMesh.documented.outage, heals_within=30.0),
    )

    def alter(self, resources: Resources) -> None:
        for host in parts.inbound_hosts(resources):
            parts.answer_itself(*host["routes"])

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        async with super().control_plane_outage():
            yield
        await self.turn(off=True)
        self.healing = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        await asyncio.sleep(HEALS_AFTER)
        await self.turn(off=False)


@pytest.mark.asyncio
async def test_requests_are_served_once_an_outage_is_over() -> None:
    adapter, platform = HealsLate(), Processes(Journal())
    mesh = MeshUnderTest(adapter, platform)
    try:
        await adapter.install(platform)
        client, server = await mesh.workload("client"), await mesh.workload("server")
        async with mesh.disruptions.control_plane_outage():
            pass
        control(await client.get(server)).answered()
        await adapter.healing
    finally:
        await mesh.close()


@asynccontextmanager
async def shared(adapter: EnvoyMesh, tmp_path: Path) -> AsyncIterator[MeshUnderTest]:
    """A mesh that other processes use as well, whose lock this one holds."""
    platform = Processes(Journal())
    mesh = MeshUnderTest(adapter, platform, lock=MeshLock(tmp_path / "lock"))
    try:
        await adapter.install(platform)
        async with mesh.lock.held(exclusive=True):
            yield mesh
    finally:
        mesh.lock.file = None  # there is no other process that would uninstall the mesh
        await mesh.close()


@pytest.mark.asyncio
async def test_a_workload_that_another_process_has_ended_starts_anew(tmp_path: Path) -> None:
    async with shared(HealsLate(), tmp_path) as mesh:
        server = await mesh.workload("server")
        await mesh.workload("client")
        assert isinstance(mesh.platform, Processes)
        for child in mesh.platform.processes.children:
            if child.name == f"probe of {server}":
                child.process.kill()
                await child.process.wait()
        mesh.lock.count_outage()
        await mesh.catch_up()
        assert server not in mesh.stage.running


class NeverHeals(HealsLate):
    """It notes whether the authority has been read, which another process may have rotated."""

    documented = replace(HealsLate.documented, outage=replace(HealsLate.documented.outage, heals_within=0.1))
    is_read = False
    was_read_at_return = False

    async def settled(self) -> None:
        self.is_read = True
        await super().settled()

    @asynccontextmanager
    async def control_plane_return(self) -> AsyncIterator[None]:
        self.was_read_at_return = self.is_read
        yield


@pytest.mark.asyncio
async def test_the_authority_is_read_before_the_control_plane_restarts(tmp_path: Path) -> None:
    adapter = NeverHeals()
    async with shared(adapter, tmp_path) as mesh:
        await mesh.workload("client"), await mesh.workload("server")
        await adapter.turn(off=True)
        mesh.lock.count_outage()
        adapter.is_read = False
        await mesh.catch_up()
        assert adapter.was_read_at_return
        assert not mesh.stage.running, "data planes that never follow start anew"


class OfNodes(EnvoyMesh):
    """The workloads of a node share its data plane."""

    data_plane_of_node = True


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "outages"), [(OfNodes, 1), (EnvoyMesh, 0)], ids=["node", "workload"])
async def test_a_restart_of_the_data_plane_of_a_node_is_an_outage(
    tmp_path: Path, kind: type[EnvoyMesh], outages: int
) -> None:
    async with shared(kind(), tmp_path) as mesh:
        await mesh.disruptions.restart_data_plane(await mesh.workload("server"))
        assert mesh.lock.outages == outages


class ReadsRootsAtStart(EnvoyMesh):
    """Its data planes learn of roots when they start, and so does its control plane."""

    documented = replace(
        EnvoyMesh.documented, rotation=replace(EnvoyMesh.documented.rotation, roots_reach_running=False)
    )


@pytest.mark.asyncio
async def test_a_change_of_roots_is_an_outage_where_the_control_plane_restarts_for_it(tmp_path: Path) -> None:
    async with shared(ReadsRootsAtStart(), tmp_path) as mesh:
        for step, outages in ((Rotation.ROOT_ADD, 1), (Rotation.ROOT_SWITCH, 1), (Rotation.ROOT_DROP, 2)):
            await mesh.rotate(step)
            assert mesh.lock.outages == outages
