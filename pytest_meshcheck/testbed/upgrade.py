"""Moves a mesh to another version while numbered requests go through it, and tells what became of them."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.meshes.canary import Canary, UpgradeBy
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.policy import Mode, MutualTls
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.probe.process.pulse import now
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.rollout import roll
from pytest_meshcheck.testbed.succession import PAUSE, count
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded

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


async def upgrade(mesh: MeshUnderTest, version: str, by: UpgradeBy = UpgradeBy.IN_PLACE) -> None:
    """Move a mesh to another version under load; what was seen is in ``mesh.upgraded``.

    Where data planes live in their workloads, these are restarted one instance by the other, and loads go on.

    Raises:
        Inconclusive: The mesh does not become ready, or a workload cannot follow.
    """
    client, server = await mesh.workload("client"), await mesh.workload("server")
    outsider = await mesh.workload("outsider") if mesh.claims(Capability.STRICT_MTLS) else None
    strict = [MutualTls(server, Mode.STRICT)] if outsider else []
    before, since = mesh.adapter.version, now()
    async with mesh.policy(*strict), _traffic(client, server, outsider) as traffic:
        begun = time.monotonic()
        async with client.stream(server) as stream:
            await _control_plane(mesh, version, by)
            seconds = time.monotonic() - begun
            await _go_on(server, traffic, mesh.scale)
            echo = await stream.echo()
        if mesh.adapter.data_plane_in_workload:
            await _workloads(mesh, by)
            seconds = time.monotonic() - begun
            await _go_on(server, traffic, mesh.scale)
        caller = await _caller(mesh, client, server)
    mesh.steps[f"upgrade to {version}"] = seconds
    mesh.upgraded = Upgraded(
        before=before,
        after=mesh.adapter.version,
        by=by,
        seconds=seconds,
        loads={port: load.result for port, load in traffic.loads.items()},
        intrusion=traffic.intrusion.result if traffic.intrusion else None,
        stream=echo,
        begun=since,
        caller=caller,
    )


async def _control_plane(mesh: MeshUnderTest, version: str, by: UpgradeBy) -> None:
    """Replace the control plane, or put another one beside it."""
    if by is UpgradeBy.CANARY:
        await _canary(mesh).install_beside(version)
    else:
        await mesh.adapter.upgrade(version)
    await mesh.adapter.settled()


async def _workloads(mesh: MeshUnderTest, by: UpgradeBy) -> None:
    """Have all workloads follow, and remove the control plane that none belongs to any more."""
    await roll(mesh.stage.replacing, mesh.adapter, mesh.stage.enrolled, mesh.stage.running, mesh.scale)
    if by is UpgradeBy.CANARY:
        await _canary(mesh).retire()
    await mesh.adapter.settled()


def _canary(mesh: MeshUnderTest) -> Canary:
    if not isinstance(mesh.adapter, Canary):
        raise Inconclusive(f"{mesh.adapter.name} cannot have two versions side by side")
    return mesh.adapter


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


async def _go_on(server: Workload, traffic: Traffic, scale: float) -> None:
    """Wait until some more requests of each load have arrived, but not for ever."""
    before = await count(server, traffic.arriving)

    async def more() -> int:
        return min(now - then for now, then in zip(await count(server, traffic.arriving), before, strict=True))

    await converge(more, lambda number: number >= AFTERWARDS, SERVES_WITHIN * scale, every=PAUSE)


async def _caller(mesh: MeshUnderTest, client: Workload, server: Workload) -> str | None:
    attempts = await server.saw(await client.get(server))
    return mesh.peer_identity(attempts[-1]) if attempts else None
