"""What the network does while the node of a workload restarts, until the workload is served again."""

import secrets

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Load,
    MeshUnderTest,
    NetworkPolicy,
    Placement,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    more_arrive,
    more_sent,
)

from .calls import ENOUGH, RATE
from .placement import far_from

BACK_WITHIN = 60.0
"""Seconds until callers reach a workload that has just become ready."""


async def restart_node_of(mesh: MeshUnderTest, server: Workload, *loads: Load) -> Workload:
    """Restart the node of a server under load; the loads count the requests to both of its instances."""
    for load in loads:
        await load.leave(server)
    again = await mesh.disruptions.restart_node(server)
    for load in loads:
        load.servers.append(again)
    return again


@check(
    MUST,
    "network.restart",
    proves={Capability.NETWORK_POLICY},
    uses={Capability.KUBERNETES},
    restarts_node=True,
)
async def test_policy_holds_while_node_restarts(mesh: MeshUnderTest, outsider: Workload) -> None:
    """While the node of a server restarts, and after that, a caller that no policy lists gets nowhere.

    It calls the service all the while, until the listed caller is served again.
    """
    await mesh.disruptions.insist_on_node_restarts()
    beside = WorkloadSpec("blue", "caller", placement=Placement(outsider.spec, same_node=True))
    async with (
        mesh.deploy_together(far_from(outsider, "restarted"), beside) as (before, caller),
        mesh.policy(NetworkPolicy(before, (caller,), ("http",))),
    ):
        async with caller.load(before, RATE) as listed, outsider.load(before, RATE) as intrusion:
            await more_arrive(before, listed, number=ENOUGH, within=mesh.tolerance)
            after = await restart_node_of(mesh, before, listed, intrusion)
            await more_arrive(after, listed, number=ENOUGH, within=BACK_WITHIN * mesh.scale)
            await more_sent(intrusion, number=ENOUGH, within=mesh.tolerance)
        expect(intrusion.result, "requests of a caller that is not listed").refused()
        control(len(await after.attempts_of(listed)), "requests served after the restart").at_least(ENOUGH)


@check(
    MUST,
    "network.node-encryption",
    proves={Capability.NODE_ENCRYPTION},
    uses={Capability.KUBERNETES},
    restarts_node=True,
)
async def test_unreadable_between_nodes_while_node_restarts(mesh: MeshUnderTest, client: Workload) -> None:
    """While the node of a server restarts, and after that, nothing that a client sends there can be read on the way.

    Every request of a load has the same random text in a header. The network is captured on the client's node.
    """
    await mesh.disruptions.insist_on_node_restarts()
    canary = secrets.token_hex(12)
    async with mesh.deploy(far_from(client, "restarted")) as deployed:
        before = deployed.service
        async with mesh.wire_between_nodes(client, before, near_only=True) as wire:
            async with client.load(before, RATE, headers=(("x-canary", canary),)) as load:
                await more_arrive(before, load, number=ENOUGH, within=mesh.tolerance)
                after = await restart_node_of(mesh, before, load)
                await more_arrive(after, load, number=ENOUGH, within=BACK_WITHIN * mesh.scale)
            control(len(await after.attempts_of(load)), "requests served after the restart").at_least(ENOUGH)
            expect(await wire.look_for(canary)).unreadable()
