"""Who may connect to a workload, as its network decides."""

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Enrolment,
    Exchange,
    MeshUnderTest,
    NetworkPolicy,
    Placement,
    Via,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    slow,
)

from ..mtls.starts import LATE, called_from_its_start

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
STARTS = (2, pytest.param(30, marks=slow))
RATE = 100
"""Requests per second to a workload that starts: a refused one is under way for as long as its client is patient."""
REACHED_WITHIN = 10.0
"""Seconds until one of them has reached a workload that nothing protects."""


@dataclass(frozen=True, eq=False)
class Call:
    """A request that a network policy decides about.

    Attributes:
        caller: Who sends it.
        port: The name of the server's port.
        via: How the server is addressed.
    """

    caller: Workload
    port: str = "http"
    via: Via = Via.SERVICE

    def __str__(self) -> str:
        return f"{self.caller} to port {self.port} by {self.via}"


def calls(callers: Iterable[Workload], *ports: str) -> list[Call]:
    """Each of the callers to each of the ports, by service and by address."""
    return [Call(*one) for one in itertools.product(callers, ports, Via)]


async def made(mesh: MeshUnderTest, calls: Iterable[Call], server: Workload) -> dict[Call, Exchange]:
    """What becomes of these calls, made at once."""
    listed, patience = list(calls), PATIENCE * mesh.scale
    seen = await asyncio.gather(*(one.caller.get(server, one.port, one.via, patience=patience) for one in listed))
    return dict(zip(listed, seen, strict=True))


async def all_are_served(mesh: MeshUnderTest, calls: Iterable[Call], server: Workload) -> None:
    """Control: without a policy each of these calls is served."""
    for call, seen in (await made(mesh, calls, server)).items():
        control(seen, f"{call} without a policy").answered()


async def all_are_refused(mesh: MeshUnderTest, seen: Mapping[Call, Exchange], server: Workload) -> None:
    """None of these requests got through, and none of them reached the application."""
    for call, exchange in seen.items():
        arrived = await server.attempts(exchange)
        expect(exchange, str(call)).refused(mesh.documented.network.refused_as, arrived=arrived)


@check(MUST, "network.default-deny", proves={Capability.NETWORK_POLICY})
async def test_default_deny(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, outsider: Workload, server: Workload
) -> None:
    """A workload that a policy selects without a caller is reached by nobody, on no port."""
    everything = calls((client, client_in_green, outsider), *UNLISTED)
    await all_are_served(mesh, everything, server)
    async with mesh.policy(NetworkPolicy(server)):
        seen = await made(mesh, everything, server)
    await all_are_refused(mesh, seen, server)


@pytest.mark.parametrize("port", UNLISTED)
@check(MUST, "network.identity-and-port", proves={Capability.NETWORK_POLICY})
async def test_allow_by_identity_and_port(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    outsider: Workload,
    server: Workload,
    port: str,
) -> None:
    """The listed caller reaches the listed port and no other, and a neighbour with another name reaches nothing."""
    listed, unlisted = calls((client,), port), calls((client,), UNLISTED[port])
    others = calls((second_client, outsider), port)
    await all_are_served(mesh, (*listed, *unlisted, *others), server)
    async with mesh.policy(NetworkPolicy(server, (client,), (port,))):
        served = await made(mesh, listed, server)
        seen = await made(mesh, (*unlisted, *others), server)
    await all_are_refused(mesh, seen, server)
    for call, exchange in served.items():
        expect(exchange, str(call)).answered()


@check(MUST, "network.labels", proves={Capability.NETWORK_POLICY})
async def test_labels_cannot_be_forged(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, server: Workload
) -> None:
    """Twins of the listed caller, with all of its labels but in other namespaces, reach nothing."""
    async with mesh.deploy(TWIN) as twin:
        of_twins = calls((client_in_green, twin.service), "http")
        await all_are_served(mesh, of_twins, server)
        async with mesh.policy(NetworkPolicy(server, (client,), ("http",))):
            seen = await made(mesh, of_twins, server)
            control(await client.get(server), "the listed caller").answered()
        await all_are_refused(mesh, seen, server)


@pytest.mark.parametrize("same_node", [pytest.param(True, id="same-node"), pytest.param(False, id="other-node")])
@check(MUST, "network.every-path", proves={Capability.NETWORK_POLICY})
async def test_same_decision_on_every_path(
    mesh: MeshUnderTest, client: Workload, server: Workload, same_node: bool
) -> None:
    """A caller on the server's node and one on another node meet the same decision, by service and by address."""
    placement = Placement(server.spec, same_node)
    of_policy, of_nobody = (WorkloadSpec("blue", name, placement=placement) for name in ("listed", "stranger"))
    async with mesh.deploy(of_policy) as allowed, mesh.deploy(of_nobody) as refused:
        listed, others = calls((allowed.service,), "http"), calls((refused.service,), "http")
        await all_are_served(mesh, (*listed, *others), server)
        async with mesh.policy(NetworkPolicy(server, (allowed.service,), ("http",))):
            served, seen = await made(mesh, listed, server), await made(mesh, others, server)
        await all_are_refused(mesh, seen, server)
    for call, exchange in served.items():
        expect(exchange, str(call)).answered()


@pytest.mark.parametrize("starts", STARTS)
@check(MUST, "network.first-packet", proves={Capability.NETWORK_POLICY})
async def test_holds_from_the_first_packet(
    mesh: MeshUnderTest, client: Workload, outsider: Workload, starts: int
) -> None:
    """A policy that is older than a workload holds from the first connection that the workload accepts.

    Somebody who is not listed calls it from the moment when it has an address until the listed caller is served: not
    one of these requests gets through. Without the policy some do.
    """
    outcome = await called_from_its_start(mesh, outsider, client, within=REACHED_WITHIN * mesh.scale, rate=RATE)
    control(outcome.reached, "requests that reach a workload that nothing protects").at_least(1)
    async with mesh.policy(NetworkPolicy(replace(LATE, namespace=client.namespace), (client,), ("http",))):
        for start in range(starts):
            outcome = await called_from_its_start(mesh, outsider, client, rate=RATE)
            expect(outcome, f"start {start + 1}").refused()
