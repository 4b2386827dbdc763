"""Who may connect to a workload, as its network decides."""

import asyncio
from collections.abc import Iterable

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Enrolment,
    Exchange,
    LoadOutcome,
    MeshUnderTest,
    NetworkPolicy,
    Placement,
    Port,
    Protocol,
    Via,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    slow,
)

UNLISTED = {
    # port that the policy lists: one that it does not
    "http": "http-alt",
    "grpc": "tcp",
    "tcp": "grpc",
}
PATIENCE = 4.0
"""Seconds of a request that has to be refused: the second and third packet of a connection leave after 1 and 3 s."""

TWIN = WorkloadSpec("grey", "client", Enrolment.UNENROLLED)
"""Outside of the namespaces of the callers, with the labels of one of them."""
NEWCOMER = WorkloadSpec("blue", "newcomer", ports=(Port("http", Protocol.HTTP1),), calls=False)
STARTS = (2, pytest.param(30, marks=slow))
RATE = 100
"""Requests per second from the moment when the workload has an address."""
REACHED_WITHIN = 10.0
"""Seconds until one of them has reached a workload that nothing protects."""
LEAST = 5
"""Requests that have to be sent meanwhile."""


async def called_by(
    mesh: MeshUnderTest, callers: Iterable[Workload], server: Workload, port: str, via: Via = Via.SERVICE
) -> dict[str, Exchange]:
    """What each of these callers meets at once, by its name."""
    named = {str(caller): caller for caller in callers}
    patience = PATIENCE * mesh.scale
    seen = await asyncio.gather(*(one.get(server, port, via, patience=patience) for one in named.values()))
    return dict(zip(named, seen, strict=True))


async def all_are_served(mesh: MeshUnderTest, callers: Iterable[Workload], server: Workload, *ports: str) -> None:
    """Control: without a policy each of these callers is served."""
    for port in ports:
        for name, seen in (await called_by(mesh, callers, server, port)).items():
            control(seen, f"{name} on port {port} without a policy").answered()


async def all_are_refused(mesh: MeshUnderTest, seen: dict[str, Exchange], server: Workload) -> None:
    """None of these requests got through, and none of them reached the application."""
    for name, exchange in seen.items():
        arrived = await server.attempts(exchange)
        expect(exchange, name).refused(mesh.documented.network.refused_as, arrived=arrived)


@pytest.mark.parametrize("via", Via, ids=str)
@check(MUST, "network.default-deny", proves={Capability.NETWORK_POLICY})
async def test_default_deny(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, outsider: Workload, server: Workload, via: Via
) -> None:
    """A workload that a policy selects without a caller is reached by nobody, on no port."""
    callers, ports = (client, client_in_green, outsider), ("http", "grpc", "tcp")
    await all_are_served(mesh, callers, server, *ports)
    async with mesh.policy(NetworkPolicy(server)):
        of_ports = [await called_by(mesh, callers, server, port, via) for port in ports]
    for seen in of_ports:
        await all_are_refused(mesh, seen, server)


@pytest.mark.parametrize("via", Via, ids=str)
@pytest.mark.parametrize("port", UNLISTED)
@check(MUST, "network.identity-and-port", proves={Capability.NETWORK_POLICY})
async def test_allow_by_identity_and_port(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    outsider: Workload,
    server: Workload,
    port: str,
    via: Via,
) -> None:
    """The listed caller reaches the listed port and no other, and a neighbour with another name reaches nothing."""
    await all_are_served(mesh, (client, second_client, outsider), server, port, UNLISTED[port])
    async with mesh.policy(NetworkPolicy(server, (client,), (port,))):
        listed = await called_by(mesh, (client,), server, port, via)
        others = await called_by(mesh, (second_client, outsider), server, port, via)
        unlisted = await called_by(mesh, (client,), server, UNLISTED[port], via)
    await all_are_refused(mesh, others, server)
    await all_are_refused(mesh, unlisted, server)
    expect(listed[str(client)], "the listed caller").answered()


@check(MUST, "network.labels", proves={Capability.NETWORK_POLICY})
async def test_labels_cannot_be_forged(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, server: Workload
) -> None:
    """Twins of the listed caller, with all of its labels but in other namespaces, reach nothing."""
    async with mesh.deploy(TWIN) as twin:
        twins = (client_in_green, twin.service)
        await all_are_served(mesh, twins, server, "http")
        async with mesh.policy(NetworkPolicy(server, (client,), ("http",))):
            seen = await called_by(mesh, twins, server, "http")
            control(await client.get(server), "the listed caller").answered()
        await all_are_refused(mesh, seen, server)


@pytest.mark.parametrize("same_node", [pytest.param(True, id="same-node"), pytest.param(False, id="other-node")])
@check(MUST, "network.every-path", proves={Capability.NETWORK_POLICY})
async def test_same_decision_on_every_path(
    mesh: MeshUnderTest, client: Workload, server: Workload, same_node: bool
) -> None:
    """A caller on the server's node and one on another node meet the same decision, by service and by address."""
    placement = Placement(server.spec, same_node)
    listed, stranger = (WorkloadSpec("blue", name, placement=placement) for name in ("listed", "stranger"))
    async with mesh.deploy(listed) as allowed, mesh.deploy(stranger) as refused:
        await all_are_served(mesh, (allowed.service, refused.service), server, "http")
        async with mesh.policy(NetworkPolicy(server, (allowed.service.spec,), ("http",))):
            served = [await called_by(mesh, (allowed.service,), server, "http", via) for via in Via]
            seen = [await called_by(mesh, (refused.service,), server, "http", via) for via in Via]
        for by_path in seen:
            await all_are_refused(mesh, by_path, server)
    for by_path in served:
        for name, exchange in by_path.items():
            expect(exchange, name).answered()


async def called_from_its_start(
    mesh: MeshUnderTest, outsider: Workload, client: Workload, *, within: float = 0.0
) -> LoadOutcome:
    """Start a workload that an outsider calls all the while, until ``client`` is served.

    Then for ``within`` more seconds, or until a request of the outsider has reached the application.
    """
    async with mesh.deploy_called(NEWCOMER, outsider, RATE) as (newcomer, load):
        control(await client.get(newcomer), "the listed caller").answered()
        await converge(lambda: newcomer.attempts_of(load), bool, within)
    return control(load.result, "requests to a workload that starts").sent_at_least(LEAST)


@pytest.mark.parametrize("starts", STARTS)
@check(MUST, "network.first-packet", proves={Capability.NETWORK_POLICY})
async def test_holds_from_the_first_packet(
    mesh: MeshUnderTest, client: Workload, outsider: Workload, starts: int
) -> None:
    """A policy that is older than a workload holds from the first connection that the workload accepts.

    Somebody who is not listed calls it from the moment when it has an address until the listed caller is served: not
    one of these requests gets through. Without the policy some do.
    """
    outcome = await called_from_its_start(mesh, outsider, client, within=REACHED_WITHIN * mesh.scale)
    control(outcome.reached, "requests that reach a workload that nothing protects").at_least(1)
    async with mesh.policy(NetworkPolicy(mesh.stage.placed(NEWCOMER), (client,), ("http",))):
        for start in range(starts):
            outcome = await called_from_its_start(mesh, outsider, client)
            expect(outcome, f"start {start + 1}").refused()
