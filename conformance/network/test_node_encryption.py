"""What can be read on the network between nodes."""

import secrets
from dataclasses import replace

import pytest

from pytest_meshcheck.suite import (
    MAY,
    MUST,
    Answer,
    Body,
    Capability,
    Documented,
    MeshUnderTest,
    Placement,
    Retry,
    Workload,
    check,
    control,
    expect,
    more_arrive,
    more_sent,
    needs,
    slow,
)

from ..mtls.canaries import PLACES, send_canaries
from ..mtls.starts import LATE
from .decisions import ENOUGH, RATE
from .placement import far_from

GRACE = 30.0
"""Seconds for which a sender goes on that has to terminate."""
LEAVING = 5 * RATE
"""Calls of a sender that has to terminate."""
AFTERWARDS = 30.0
"""Seconds of a load after the session keys have changed."""
END_OF_HEADER = "\r\n"
"""The ids of requests are of different lengths, and one may be the beginning of another."""


@pytest.mark.parametrize("port", PLACES)
@check(MUST, "network.node-encryption", proves={Capability.NODE_ENCRYPTION})
async def test_unreadable_between_nodes(mesh: MeshUnderTest, client: Workload, far_server: Workload, port: str) -> None:
    """Nothing that pods on two nodes send each other can be read on the interfaces that join the nodes.

    Both directions, on both nodes. A text that one node sends the other in the clear is found there first.
    """
    async with mesh.wire_between_nodes(client, far_server) as wire:
        canaries = await send_canaries(client, far_server, port)
        expect(await wire.look_for(*canaries)).unreadable()


@check(MUST, "network.node-encryption", proves={Capability.NODE_ENCRYPTION}, uses={Capability.RETRY})
async def test_unreadable_between_nodes_with_routing(
    mesh: MeshUnderTest, client: Workload, far_server: Workload
) -> None:
    """The same where a route acts on the request, and tries it twice: a proxy of the node is on the way then."""
    async with (
        mesh.policy(Retry(far_server, 1, statuses={503})),
        mesh.wire_between_nodes(client, far_server) as wire,
    ):
        canaries = await send_canaries(client, far_server, "http", Answer(status=503))
        expect(await wire.look_for(*canaries)).unreadable()


@check(MUST, "network.node-encryption", proves={Capability.NODE_ENCRYPTION})
async def test_unreadable_between_nodes_while_terminating(mesh: MeshUnderTest, server: Workload) -> None:
    """The same for a sender that is inside its termination grace period, also once its endpoint is withdrawn.

    Texts in all parts of a request, and then calls for some seconds that all have the same text in their message.
    """
    async with mesh.deploy(far_from(server, "leaving", grace=GRACE)) as deployed:
        leaving = deployed.service
        control(await leaving.get(server), "before it terminates").answered()
        async with mesh.termination(leaving), mesh.wire_between_nodes(leaving, server) as wire:
            canaries, canary = await send_canaries(leaving, server, "http"), secrets.token_hex(12)
            async with leaving.load(server, RATE, "grpc", body=Body(text=canary)) as load:
                await more_arrive(server, load, number=LEAVING, within=2 * LEAVING / RATE + mesh.tolerance)
            control(len(await server.attempts_of(load)), "calls that reach the server").at_least(LEAVING)
            expect(await wire.look_for(*canaries, canary)).unreadable()


def keeps_its_keys(documented: Documented) -> str:
    """Why no change of keys can be awaited."""
    network = documented.network
    return "" if network.session_keys_last else f"nodes keep their keys ({network.source('session_keys_last')})"


@slow
@needs(keeps_its_keys)
@check(MUST, "network.session-keys", proves={Capability.NODE_ENCRYPTION})
async def test_session_keys_change_under_load(mesh: MeshUnderTest, client: Workload, far_server: Workload) -> None:
    """For longer than the session keys between nodes last, no call to another node is lost, and none can be read.

    Every call of the load has the same random text in its message, and so has its answer.
    """
    lasts = mesh.documented.network.session_keys_last + AFTERWARDS
    canary, number = secrets.token_hex(12), int(lasts * RATE)
    async with mesh.wire_between_nodes(client, far_server) as wire:
        async with client.load(far_server, RATE, "grpc", body=Body(text=canary)) as load:
            await more_sent(load, number=number, within=lasts + mesh.tolerance)
        expect(await wire.look_for(canary)).unreadable()
    expect(load.result).lost_nothing(number, mesh.tolerance)


@check(MAY, "network.new-endpoint", uses={Capability.NODE_ENCRYPTION})
async def test_new_endpoint_is_recorded(mesh: MeshUnderTest, client: Workload, far_server: Workload) -> None:
    """Records for how long requests to a workload that has just started on another node can be read on the way.

    A client calls it from the moment when it has an address.
    """
    new = replace(LATE, placement=Placement(far_server.spec, same_node=True))
    async with mesh.wire_between_nodes(client, far_server) as wire:
        async with mesh.deploy_called(new, client, RATE) as (started, load):
            await more_arrive(started, load, number=ENOUGH, within=mesh.tolerance)
            arrived = {one.request_id: one.arrived for one in await started.attempts_of(load)}
        control(len(arrived), "requests to the new workload").at_least(ENOUGH)
        seen = await wire.look_for(*(f"{one}{END_OF_HEADER}" for one in arrived))
    readable = [arrived[found.removesuffix(END_OF_HEADER)] for found in seen.found]
    window = max(readable) - min(arrived.values()) if readable else 0.0
    mesh.measure("requests that could be read", f"{len(readable)} of {len(arrived)}")
    mesh.measure("readable for (ms)", round(1000 * window))
