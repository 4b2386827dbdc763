"""What the network does while the node of a workload restarts, until the workload is served again."""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass

from pytest_meshcheck.suite import (
    MUST,
    Body,
    Capability,
    CaptureResult,
    Inconclusive,
    LoadOutcome,
    MeshUnderTest,
    NetworkPolicy,
    Placement,
    WorkloadSpec,
    check,
    expect,
    more_arrive,
    more_sent,
)

from ..calls import PATIENCE
from ..node_restarts import BACK_WITHIN, restart_under_load
from .decisions import ENOUGH, RATE
from .placement import far_from


@dataclass(frozen=True)
class NodeRestart:
    """Observations of a server whose node has restarted under load.

    Attributes:
        unlisted: The load of another caller, which the policy does not list if the mesh has network policies.
        captured: What could be read of the listed caller's load on its own node, in both directions.
        trouble: Why the node or the server is not back; empty if it is.
    """

    unlisted: LoadOutcome
    captured: CaptureResult
    trouble: str

    def insist_it_is_over(self) -> None:
        """Raise Inconclusive unless the server was served again: a leak counts without that, its absence does not."""
        if self.trouble:
            raise Inconclusive(self.trouble)


async def node_restart(mesh: MeshUnderTest) -> NodeRestart:
    """Restart the node of a server, which two callers on another node call all the while."""
    await mesh.disruptions.insist_on_node_restarts()
    outsider, canary = await mesh.workload("outsider"), secrets.token_hex(12)
    beside = WorkloadSpec("blue", "caller", placement=Placement(outsider.spec, same_node=True))
    async with mesh.deploy_together(far_from(outsider, "restarted"), beside) as (before, caller):
        policies = (NetworkPolicy(before, (caller,), ("grpc",)),) if mesh.claims(Capability.NETWORK_POLICY) else ()
        async with mesh.policy(*policies), mesh.wire_between_nodes(caller, before, near_only=True) as wire:
            trouble = ""
            async with (
                caller.load(before, RATE, "grpc", body=Body(text=canary)) as listed,
                outsider.load(before, RATE, "grpc", patience=PATIENCE * mesh.scale) as unlisted,
            ):
                await more_arrive(before, listed, number=ENOUGH, within=mesh.tolerance)
                try:
                    after = await restart_under_load(mesh, before, listed, unlisted)
                    await more_arrive(after, listed, number=ENOUGH, within=BACK_WITHIN * mesh.scale)
                    await more_sent(unlisted, number=ENOUGH, within=mesh.tolerance)
                except Inconclusive as why:
                    trouble = str(why)
            return NodeRestart(unlisted.result, await wire.look_for(canary), trouble)


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
    seen.insist_it_is_over()


@check(
    MUST,
    "network.node-encryption",
    proves={Capability.NODE_ENCRYPTION},
    uses={Capability.KUBERNETES},
    head_start=node_restart,
    restarts_node=True,
)
async def test_unreadable_between_nodes_while_node_restarts(head_start: Awaitable[NodeRestart]) -> None:
    """While the node of a server restarts, and after that, nothing that it and a client send each other can be read.

    Every call of a load has the same random text in its message, and so has its answer. The network is captured on the
    client's node, in both directions.
    """
    seen = await head_start
    expect(seen.captured).unreadable()
    seen.insist_it_is_over()
