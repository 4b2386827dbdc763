"""The data plane of a workload is replaced while requests are under way."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    MeshUnderTest,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    slow,
)

RATE = 40
"""Requests per second."""
MEETING = 4
"""Requests of that load that have to arrive at either data plane."""
HELD = Body(length=2048, seed=7)
BEFORE = 1024
"""Bytes of that body that are sent before the data plane is replaced."""
PATIENCE = 60.0
"""Seconds that the request that is under way may take."""


@pytest.mark.parametrize("seconds", [pytest.param(0.0, id="at-once"), pytest.param(20.0, id="20-s", marks=slow)])
@check(MUST, "lifecycle.drain", proves={Capability.PROXY_REPLACEMENT}, disruptive=True)
async def test_data_plane_restart_drains(mesh: MeshUnderTest, client: Workload, seconds: float) -> None:
    """While the data plane of a server is replaced, a request under way is finished, and no other one is lost.

    The second half of that request is sent once the new data plane works, and the server takes the given number of
    seconds to answer it. The others are made on new connections, where the mesh can bound the reuse of connections.
    """
    spec = WorkloadSpec("blue", "draining", calls=False, replaceable=True)
    async with mesh.deploy(spec) as deployed, mesh.policy(*mesh.fresh_connections(deployed.service)):
        server, replaced = deployed.service, asyncio.Event()
        under_way = await server.answers(Answer(delay=seconds))
        sending = asyncio.ensure_future(
            client.in_two_parts(
                server,
                replaced.wait(),
                method="POST",
                body=HELD,
                pause_after=BEFORE,
                request_id=under_way,
                patience=PATIENCE,
            )
        )
        async with AsyncExitStack() as until_drained, client.load(server, RATE) as load:
            await server.wait_for_attempts(f"{load.request_id}-{MEETING}")
            control(len(await server.wait_for_attempts(under_way)), "requests under way").equals(1)
            await until_drained.enter_async_context(mesh.disruptions.data_plane_replacement(server))
            replaced.set()
            finished = await sending
            arrived = len(await server.attempts_of(load))
            await server.wait_for_attempts(f"{load.request_id}-{arrived + MEETING}")
        expect(finished, "the request that was under way").answered()
        expect(load.result).lost_nothing(2 * MEETING, mesh.tolerance)
