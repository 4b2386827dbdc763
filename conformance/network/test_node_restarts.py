"""What the network does while the node of a workload restarts, until the workload is served again."""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    CaptureResult,
    Load,
    LoadOutcome,
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

from ..mtls.starts import BACK_WITHIN
from .calls import ENOUGH, PATIENCE, RATE
from .placement import far_from


@dataclass(frozen=True)
class NodeRestart:
    """Observations of a server whose node has restarted under load.

    Attributes:
        served_after: How many requests of the listed caller the server answered after the restart.
        unlisted: The load of another caller, which the policy does not list if the mesh has network policies.
        captured: What could be read of the first load on its caller's node.
    """

    served_after: int
    unlisted: LoadOutcome
    captured: CaptureResult


async def restart_under_load(mesh: MeshUnderTest, server: Workload, *loads: Load) -> Workload:
    """Restart the node of a server; the loads count the requests to both of its instances."""
    for load in loads:
        await load.leave(server)
    again = await mesh.disruptions.restart_node(server)
    for load in loads:
        load.servers.append(again)
    return again


async def node_restart(mesh: MeshUnderTest) -> NodeRestart:
    """Restart the node of a server, which two callers on another node call all the while."""
    await mesh.disruptions.insist_on_node_restarts()
    outsider, canary = await mesh.workload("outsider"), secrets.token_hex(12)
    beside = WorkloadSpec("blue", "caller", placement=Placement(outsider.spec, same_node=True))
    async with mesh.deploy_together(far_from(outsider, "restarted"), beside) as (before, caller):
        policies = (NetworkPolicy(before, (caller,), ("http",)),) if mesh.claims(Capability.NETWORK_POLICY) else ()
        async with mesh.policy(*policies), mesh.wire_between_nodes(caller, before, near_only=True) as wire:
            async with (
                caller.load(before, RATE, headers=(("x-canary", canary),)) as listed,
                outsider.load(before, RATE, patience=PATIENCE * mesh.scale) as unlisted,
            ):
                await more_arrive(before, listed, number=ENOUGH, within=mesh.tolerance)
                after = await restart_under_load(mesh, before, listed, unlisted)
                await more_arrive(after, listed, number=ENOUGH, within=BACK_WITHIN * mesh.scale)
                await more_sent(unlisted, number=ENOUGH, within=mesh.tolerance)
            captured = await wire.look_for(canary)
        return NodeRestart(len(await after.attempts_of(listed)), unlisted.result, captured)


@check(
    MUST,
    "network.restart",
    proves={Capability.NETWORK_POLICY},
    uses={Capability.KUBERNETES},
    head_start=node_restart,
    restarts_node=True,
)
async def test_policy_holds_while_node_restarts(head_start: Awaitable[NodeRestart]) -> None:
    """While the node of a server restarts, and after that, a caller that no policy lists gets nowhere.

    It calls the service all the while, until the listed caller is served again.
    """
    seen = await head_start
    expect(seen.unlisted, "requests of a caller that is not listed").refused()
    control(seen.served_after, "requests served after the restart").at_least(ENOUGH)


@check(
    MUST,
    "network.node-encryption",
    proves={Capability.NODE_ENCRYPTION},
    uses={Capability.KUBERNETES},
    head_start=node_restart,
    restarts_node=True,
)
async def test_unreadable_between_nodes_while_node_restarts(head_start: Awaitable[NodeRestart]) -> None:
    """While the node of a server restarts, and after that, nothing that a client sends there can be read on the way.

    Every request of a load has the same random text in a header. The network is captured on the client's node.
    """
    seen = await head_start
    control(seen.served_after, "requests served after the restart").at_least(ENOUGH)
    expect(seen.captured).unreadable()
