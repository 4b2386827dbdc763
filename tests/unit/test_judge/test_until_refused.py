"""A call is repeated until it is refused, so that checks of what is to be refused in time have no polling."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import Exchange
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.testbed.mesh import MeshUnderTest

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def mesh() -> AsyncIterator[MeshUnderTest]:
    platform = Processes(Journal())
    subject = MeshUnderTest(EnvoyMesh(), platform)
    await subject.adapter.install(platform)
    try:
        yield subject
    finally:
        await subject.close()


class Calls:
    """Calls of which the first ones are served."""

    def __init__(self, mesh: MeshUnderTest, served: int) -> None:
        self.made = 0
        self._mesh = mesh
        self._served = served

    async def __call__(self) -> Exchange:
        self.made += 1
        client, server = await self._mesh.workload("client"), await self._mesh.workload("server")
        answer = 200 if self.made <= self._served else 503
        return await client.get(server, request_id=await server.answers(answer))


async def test_several_refusals_in_a_row_are_one(mesh: MeshUnderTest) -> None:
    calls = Calls(mesh, served=2)
    assert (await mesh.until_refused("a caller", calls, within=30.0)).status == 503
    assert calls.made == 5
    assert 0 < mesh.measured["a caller refused after (s)"] < 30


async def test_what_is_never_refused_is_returned_as_it_is(mesh: MeshUnderTest) -> None:
    assert (await mesh.until_refused("a caller", Calls(mesh, served=10_000), within=0.1)).status == 200
    assert mesh.measured["a caller refused after (s)"] > 0.1
