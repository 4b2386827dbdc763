"""Moves a mesh to another version while numbered requests go through it, and tells what became of them."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pytest_meshcheck.judge.expect import converge
from pytest_meshcheck.judge.subject import MeshUnderTest
from pytest_meshcheck.judge.succession import LEARNED_WITHIN, PAUSE, count, is_found, left_alone
from pytest_meshcheck.judge.upgraded import Upgraded
from pytest_meshcheck.meshes.base import has_data_plane_in_workload
from pytest_meshcheck.stage.capability import Capability
from pytest_meshcheck.stage.faults import Inconclusive
from pytest_meshcheck.stage.load import Load
from pytest_meshcheck.stage.policy import Mode, MutualTls
from pytest_meshcheck.stage.workload import Workload

RATES: Mapping[str, float] = {"http": 30, "grpc": 15}
"""Port: requests per second from the client to the server."""

INTRUSIONS = 10
"""Plaintext requests per second from an outsider to the server, which is under strict mutual TLS."""

UNDER_WAY = 10
"""Requests of each load that the server has to have seen before the upgrade begins."""

AFTERWARDS = 20
"""Requests of each load that the server has to have seen when the upgrade is over; a quick one meets few by itself."""

SERVES_WITHIN = 10.0
"""Seconds that they are waited for: where they do not come, the loads themselves show why."""


@dataclass(frozen=True)
class Traffic:
    """What goes on during an upgrade: the loads of the client by port, and that of an outsider."""

    loads: Mapping[str, Load]
    intrusion: Load | None

    @property
    def arriving(self) -> Sequence[Load]:
        """The loads that are to be served."""
        return tuple(self.loads.values())

    @property
    def all(self) -> Sequence[Load]:
        """Every load."""
        return (*self.arriving, *([self.intrusion] if self.intrusion else []))


async def upgrade(mesh: MeshUnderTest, version: str) -> None:
    """Move a mesh to another version under load; what was seen is in ``mesh.upgraded``.

    Where data planes live in their workloads, the server's follows with a new instance while the load goes on, and all
    others when it is over: an instance that goes takes the load of a client with it.

    Raises:
        Inconclusive: The mesh does not become ready, or a workload cannot follow.
    """
    client, server = await mesh.workload("client"), await mesh.workload("server")
    outsider = await mesh.workload("outsider") if mesh.claims(Capability.STRICT_MTLS) else None
    strict = [MutualTls(server, Mode.STRICT)] if outsider else []
    before, renews = mesh.adapter.version, has_data_plane_in_workload(mesh.adapter)
    async with mesh.policy(*strict), client.stream(server) as stream, _traffic(client, server, outsider) as traffic:
        begun = time.monotonic()
        await mesh.adapter.upgrade(version)
        now = await _follow(mesh, traffic) if renews else server
        await mesh.adapter.settled()
        seconds = mesh.steps[f"upgrade to {version}"] = time.monotonic() - begun
        await _go_on(now, traffic, mesh.scale)
        echo, caller = await stream.echo(), await _caller(mesh, client, now)
    if renews:
        await _leave(mesh, server)
    mesh.upgraded = Upgraded(
        before=before,
        after=mesh.adapter.version,
        seconds=seconds,
        loads={port: load.result for port, load in traffic.loads.items()},
        intrusion=traffic.intrusion.result if traffic.intrusion else None,
        stream=echo,
        caller=caller,
    )


@asynccontextmanager
async def _traffic(client: Workload, server: Workload, outsider: Workload | None) -> AsyncIterator[Traffic]:
    """Loads that arrive already when the block begins."""
    async with AsyncExitStack() as under_way:
        loads = {
            port: await under_way.enter_async_context(client.load(server, rate, port)) for port, rate in RATES.items()
        }
        intrusion = await under_way.enter_async_context(outsider.load(server, INTRUSIONS)) if outsider else None
        for load in loads.values():
            await server.sees(f"{load.request_id}-{UNDER_WAY - 1}")
        yield Traffic(loads, intrusion)


async def _follow(mesh: MeshUnderTest, traffic: Traffic) -> Workload:
    """Put a new instance in the server's place as a rolling update does; returns it once the old one is left alone."""
    old = await mesh.workload("server")
    new = await mesh.join("server")
    for load in traffic.all:
        load.servers.append(new)
    if not await is_found(new, traffic.arriving, mesh.scale):
        raise Inconclusive(f"no request finds the new instance of {new} in {LEARNED_WITHIN * mesh.scale:g} s")
    await mesh.replacing.withdraw(old)
    await left_alone(old, new, traffic.all, traffic.arriving, mesh.scale)
    return new


async def _go_on(server: Workload, traffic: Traffic, scale: float) -> None:
    """Wait until some more requests of each load have arrived, but not for ever."""
    before = await count(server, traffic.arriving)

    async def more() -> int:
        return min(now - then for now, then in zip(await count(server, traffic.arriving), before, strict=True))

    await converge(more, lambda number: number >= AFTERWARDS, SERVES_WITHIN * scale, every=PAUSE)


async def _leave(mesh: MeshUnderTest, server: Workload) -> None:
    """Let the server's old instance go, and have all other data planes follow."""
    await mesh.replacing.let_go(server)
    await mesh.start_anew(but="server")


async def _caller(mesh: MeshUnderTest, client: Workload, server: Workload) -> str | None:
    attempts = await server.saw(await client.get(server))
    return mesh.peer_identity(attempts[-1]) if attempts else None
