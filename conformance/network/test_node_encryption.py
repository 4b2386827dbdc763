"""What can be read on the network between nodes."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    MeshUnderTest,
    Retry,
    Workload,
    check,
    control,
    expect,
)

from ..mtls.canaries import PLACES, send_canaries
from .placement import far_from

GRACE = 30.0
"""Seconds for which a sender goes on that has to terminate."""


@pytest.mark.parametrize("port", PLACES)
@check(MUST, "network.node-encryption", proves={Capability.NODE_ENCRYPTION})
async def test_unreadable_between_nodes(mesh: MeshUnderTest, client: Workload, port: str) -> None:
    """Nothing that pods on two nodes send each other can be read on the interfaces that join the nodes.

    Both directions, on both nodes. A text that one node sends the other in the clear is found there first.
    """
    async with mesh.deploy(far_from(client, "far-server")) as far, mesh.wire_between_nodes(client, far.service) as wire:
        canaries = await send_canaries(client, far.service, port)
        expect(await wire.look_for(*canaries)).unreadable()


@check(MUST, "network.node-encryption", proves={Capability.NODE_ENCRYPTION}, uses={Capability.RETRY})
async def test_unreadable_between_nodes_with_routing(mesh: MeshUnderTest, client: Workload) -> None:
    """The same where a route acts on the request, and tries it twice: a proxy of the node is on the way then."""
    async with mesh.deploy(far_from(client, "far-server")) as far:
        server = far.service
        async with (
            mesh.policy(Retry(server, 1, statuses={503})),
            mesh.wire_between_nodes(client, server) as wire,
        ):
            canaries = await send_canaries(client, server, "http", Answer(status=503))
            expect(await wire.look_for(*canaries)).unreadable()


@check(MUST, "network.node-encryption", proves={Capability.NODE_ENCRYPTION})
async def test_unreadable_between_nodes_while_terminating(mesh: MeshUnderTest, server: Workload) -> None:
    """The same for a sender that is inside its termination grace period."""
    async with mesh.deploy(far_from(server, "leaving", grace=GRACE)) as deployed:
        leaving = deployed.service
        control(await leaving.get(server), "before it terminates").answered()
        async with mesh.termination(leaving), mesh.wire_between_nodes(leaving, server) as wire:
            canaries = await send_canaries(leaving, server, "http")
            expect(await wire.look_for(*canaries)).unreadable()
