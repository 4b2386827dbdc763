"""Moves a mesh to another version while numbered requests go through it, and tells what became of them."""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

from pytest_meshcheck.judge.subject import MeshUnderTest
from pytest_meshcheck.judge.upgraded import Upgraded
from pytest_meshcheck.stage.capability import Capability
from pytest_meshcheck.stage.policy import Mode, MutualTls
from pytest_meshcheck.stage.workload import Load, Workload

RATES: Mapping[str, float] = {"http": 30, "grpc": 15}
"""Port: requests per second from the client to the server."""

INTRUSIONS = 10
"""Plaintext requests per second from an outsider to the server, which is under strict mutual TLS."""

UNDER_WAY = 10
"""Requests of each load that the server has to have seen before the upgrade begins."""


async def upgrade(mesh: MeshUnderTest, version: str) -> None:
    """Move a mesh to another version under load; what was seen is in ``mesh.upgraded``.

    Raises:
        Inconclusive: It does not become ready, or a workload cannot follow.
    """
    client, server = await mesh.workload("client"), await mesh.workload("server")
    outsider = await mesh.workload("outsider") if mesh.claims(Capability.STRICT_MTLS) else None
    strict = [MutualTls(server, Mode.STRICT)] if outsider else []
    before = mesh.adapter.version
    async with mesh.policy(*strict), client.stream(server) as stream, AsyncExitStack() as under_way:
        loads = {
            port: await under_way.enter_async_context(client.load(server, rate, port)) for port, rate in RATES.items()
        }
        intrusion = await under_way.enter_async_context(outsider.load(server, INTRUSIONS)) if outsider else None
        await _begin(server, loads)
        begun = time.monotonic()
        await mesh.adapter.upgrade(version)
        await mesh.adapter.settled()
        seconds = mesh.steps[f"upgrade to {version}"] = time.monotonic() - begun
        echo, caller = await stream.echo(), await _caller(mesh, client, server)
    mesh.upgraded = Upgraded(
        before=before,
        after=mesh.adapter.version,
        seconds=seconds,
        loads={port: load.result for port, load in loads.items()},
        intrusion=intrusion.result if intrusion else None,
        stream=echo,
        caller=caller,
    )


async def _begin(server: Workload, loads: Mapping[str, Load]) -> None:
    """Wait until the loads arrive."""
    for load in loads.values():
        await server.sees(f"{load.request_id}-{UNDER_WAY - 1}")


async def _caller(mesh: MeshUnderTest, client: Workload, server: Workload) -> str | None:
    attempts = await server.saw(await client.get(server))
    return mesh.peer_identity(attempts[-1]) if attempts else None
