"""Upgrades a mesh under load, and records what became of the requests."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from pytest_meshcheck.meshes.canary import Canary, UpgradeBy
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.observation import Exchange, LoadOutcome
from pytest_meshcheck.model.policy import Mode, MutualTls
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment
from pytest_meshcheck.platforms.base import Distributed
from pytest_meshcheck.probe.process.pulse import now
from pytest_meshcheck.testbed.arrivals import more_arrive
from pytest_meshcheck.testbed.decisions import DataPlaneVersion
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.network_under_upgrade import network_under_upgrade
from pytest_meshcheck.testbed.rotation.rollout import Wave, go_on, node_by_node, roll
from pytest_meshcheck.testbed.skew import Skew, skew_of
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded

RATES: Mapping[str, float] = {"http": 30, "grpc": 15}
"""Port: requests per second from the client to the server."""

INTRUSIONS = 10
"""Plaintext requests per second from an outsider to the server, which is under strict mutual TLS."""

UNDER_WAY = 10
"""Requests of each load that the server must have received before the upgrade begins."""

EARLY = ("server_in_green", "second_client", "server")
"""The roles whose data planes follow first: a server and a client of the surveys, so that old data planes meet new ones
on either side, and the server under load. That one is the last, because Envoy's old process may accept connections for
some milliseconds after the new one works, and surveys do not call it."""

AFTERWARDS = 20
"""Further requests of each load that the server must receive after the upgrade; a quick upgrade overlaps few."""

SERVES_WITHIN = 10.0
"""Seconds to wait for them; if they do not arrive, the loads themselves show why."""

KEPT = ("upgrade step", "restart", "exchange", "attempts")
"""The kinds of entries of the journal that belong to the observations."""


async def upgrade(mesh: MeshUnderTest, version: str, by: UpgradeBy = UpgradeBy.IN_PLACE) -> None:
    """Upgrade a mesh under load; the observations are in ``mesh.upgraded``.

    Data planes follow the control plane in two waves, or node by node: those that live in their workloads by a rolling
    restart. A mesh that returns to its former version does so with one wave, and is upgraded again.

    Raises:
        Inconclusive: The mesh does not become ready, or a workload cannot follow.
    """
    client, server = await mesh.workload("client"), await mesh.workload("server")
    before, since, earlier = mesh.adapter.version, now(), len(mesh.journal.entries)
    async with AsyncExitStack() as stack:
        skew = await stack.enter_async_context(skew_of(mesh))
        outsider = skew.outsider
        strict = [MutualTls(server, Mode.STRICT)] if outsider else []
        await stack.enter_async_context(mesh.policy(*strict, *skew.policies))
        network = await stack.enter_async_context(network_under_upgrade(mesh, client))
        intrusion = await stack.enter_async_context(_intrusion(outsider, server))
        await _show_leaf(mesh, outsider, server)
        await skew.survey("before the upgrade")
        begun = time.monotonic()
        of_control_plane, echo = await _control_plane_under_load(mesh, version, by, skew)
        of_data_planes, ended = await _data_planes_under_load(mesh, version, by, skew)
        mesh.steps[f"upgrade to {version}"] = ended - begun
        if mesh.adapter.returns_to_former_version:
            await _back_and_forth(mesh, before, version, skew)
        caller = await _caller(mesh, client, server)
    mesh.upgraded = Upgraded(
        before=before,
        after=mesh.adapter.version,
        by=by,
        seconds=ended - begun,
        control_plane=of_control_plane,
        data_planes=of_data_planes,
        intrusion=intrusion.result if intrusion else None,
        stream=echo,
        begun=since,
        caller=caller,
        journal=[entry for entry in mesh.journal.entries[earlier:] if entry.kind in KEPT],
        decisions=skew.decisions,
        network=network,
    )


async def _control_plane_under_load(
    mesh: MeshUnderTest, version: str, by: UpgradeBy, skew: Skew
) -> tuple[Mapping[str, LoadOutcome], Exchange]:
    """Upgrade the control plane; the loads meanwhile, and the echo on a stream that was open all the while."""
    client, server = await mesh.workload("client"), await mesh.workload("server")
    async with _loads(client, server) as loads, client.stream(server) as stream:
        with mesh.journal.action("upgrade step", f"control plane to {version}"):
            await _control_plane(mesh, version, by)
        await _show_leaf(mesh, skew.outsider, server)
        await skew.survey("control plane upgraded")
        await _serve_on(mesh, server, loads)
        echo = await stream.echo()
    return _results(loads), echo


async def _data_planes_under_load(
    mesh: MeshUnderTest, version: str, by: UpgradeBy, skew: Skew
) -> tuple[Mapping[str, LoadOutcome], float]:
    """Have the data planes follow; the loads meanwhile, and when the last of them had followed (``time.monotonic``)."""
    client, server = await mesh.workload("client"), await mesh.workload("server")
    async with _loads(client, server) as loads:
        with mesh.journal.action("upgrade step", f"data planes to {version}"):
            await _data_planes(mesh, by, skew)
        ended = time.monotonic()
        await _show_leaf(mesh, skew.outsider, server)
        await _serve_on(mesh, server, loads)
    return _results(loads), ended


async def _serve_on(mesh: MeshUnderTest, server: Workload, loads: Mapping[str, Load]) -> None:
    """Let the loads go on for some requests after a step."""
    await more_arrive(server, *loads.values(), number=AFTERWARDS, within=SERVES_WITHIN * mesh.scale)


async def _control_plane(mesh: MeshUnderTest, version: str, by: UpgradeBy) -> None:
    """Replace the control plane, or install another one alongside."""
    if by is UpgradeBy.CANARY:
        await _canary(mesh).install_alongside(version)
    else:
        await mesh.adapter.upgrade(version)
    await mesh.adapter.settled()


async def _data_planes(mesh: MeshUnderTest, by: UpgradeBy, skew: Skew) -> None:
    """Move all data planes to the new version, and remove a control plane without workloads."""

    async def after(wave: Wave) -> None:
        skew.moved(wave, DataPlaneVersion.NEW)
        if wave is early:
            await skew.survey("some data planes upgraded")

    early, *late = await _waves(mesh, skew)
    async with AsyncExitStack() as until_ended:
        await _follow(mesh, (early, *late), after, until_ended)
    if by is UpgradeBy.CANARY:
        await _canary(mesh).retire()
    await mesh.adapter.settled()
    await skew.survey("upgraded")


async def _back_and_forth(mesh: MeshUnderTest, former: str, version: str, skew: Skew) -> None:
    """Move the control plane and some data planes to the former version, and upgrade them again."""
    early, *_ = await _waves(mesh, skew)
    async with AsyncExitStack() as until_ended:
        for to, reached, words in (
            (former, DataPlaneVersion.OLD, "moved back"),
            (version, DataPlaneVersion.NEW, "upgraded again"),
        ):
            await _control_plane(mesh, to, UpgradeBy.IN_PLACE)
            await skew.survey(f"control plane {words}")
            await _follow(mesh, (early,), go_on, until_ended)
            skew.moved(early, reached)
            await skew.survey(f"some data planes {words}")
    await mesh.adapter.settled()


async def _waves(mesh: MeshUnderTest, skew: Skew) -> Sequence[Wave]:
    """The waves of the upgrade: two, or one per node where the workloads of a node share a data plane."""
    platform = mesh.platform
    if mesh.adapter.data_plane_of_node and isinstance(platform, Distributed):
        enrolled = [one for one in mesh.stage.running if one.spec.enrolment is Enrolment.ENROLLED]
        return node_by_node([*skew.clients, *(one for one in enrolled if one not in skew.clients)], platform.node_of)
    early = [await mesh.workload(role) for role in EARLY]
    return early, [one for one in mesh.stage.enrolled if str(one) not in map(str, early)]


async def _follow(
    mesh: MeshUnderTest, waves: Sequence[Wave], after: Callable[[Wave], Awaitable[None]], until_ended: AsyncExitStack
) -> None:
    """Have data planes follow the control plane wave by wave; old ones may drain until the stack is closed."""
    if mesh.adapter.data_plane_in_workload:
        await roll(mesh.stage.replacing, mesh.adapter, waves, mesh.stage.running, mesh.scale, after=after)
        return
    for wave in waves:
        await until_ended.enter_async_context(mesh.adapter.data_plane_upgrade(wave))
        await after(wave)


async def _show_leaf(mesh: MeshUnderTest, outsider: Workload | None, server: Workload) -> None:
    """Have the journal know the leaf that the server's data plane presents now."""
    if outsider is not None:
        await mesh.handshake(outsider, server)


def _canary(mesh: MeshUnderTest) -> Canary:
    if not isinstance(mesh.adapter, Canary):
        raise Inconclusive(f"{mesh.adapter.name} cannot have two versions side by side")
    return mesh.adapter


@asynccontextmanager
async def _intrusion(outsider: Workload | None, server: Workload) -> AsyncIterator[Load | None]:
    """The load of a client outside the mesh while the block runs; None without one."""
    if outsider is None:
        yield None
        return
    async with outsider.load(server, INTRUSIONS) as intrusion:
        yield intrusion


@asynccontextmanager
async def _loads(client: Workload, server: Workload) -> AsyncIterator[Mapping[str, Load]]:
    """Loads by port, whose requests already arrive when the block begins."""
    async with AsyncExitStack() as under_way:
        loads = {
            port: await under_way.enter_async_context(client.load(server, rate, port)) for port, rate in RATES.items()
        }
        for load in loads.values():
            await server.wait_for_attempts(f"{load.request_id}-{UNDER_WAY - 1}")
        yield loads


def _results(loads: Mapping[str, Load]) -> Mapping[str, LoadOutcome]:
    return {port: load.result for port, load in loads.items()}


async def _caller(mesh: MeshUnderTest, client: Workload, server: Workload) -> str | None:
    attempts = await server.attempts(await client.get(server))
    return mesh.peer_identity(attempts[-1]) if attempts else None
