"""What the network does while its data plane is killed on a node, and comes back.

Each check restarts the data plane of a different node, because the kubelet backs off when a container ends twice.
"""

import secrets

from pytest_meshcheck.suite import (
    MUST,
    Body,
    Capability,
    MeshUnderTest,
    NetworkPolicy,
    Workload,
    check,
    control,
    kept_out,
    kept_unreadable,
    more_arrive,
    more_sent,
)

from ..calls import PATIENCE
from .decisions import ENOUGH, RATE
from .placement import far_from


@check(
    MUST,
    "network.restart",
    proves={Capability.NETWORK_POLICY, Capability.PROXY_RESTART},
    disruptive=True,
)
async def test_policy_holds_while_data_plane_restarts(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While the data plane of a server's node is killed and comes back, a caller that no policy lists gets nowhere.

    How many requests of the listed caller fail meanwhile is recorded.
    """
    async with mesh.policy(NetworkPolicy(server, (client,), ("http",))):
        unlisted = outsider.load(server, RATE, patience=PATIENCE * mesh.scale)
        intruding = kept_out(unlisted, "requests of a caller that is not listed")
        async with intruding as intrusion, client.load(server, RATE) as listed:
            await more_arrive(server, listed, number=ENOUGH, within=mesh.tolerance)
            await mesh.disruptions.restart_data_plane(server)
            await more_sent(intrusion, number=ENOUGH, within=mesh.tolerance)
            await more_arrive(server, listed, number=ENOUGH, within=mesh.tolerance)
        control(intrusion.result).sent_at_least(2 * ENOUGH)
        control(await client.get(server), "the listed caller afterwards").answered()
    mesh.measure("requests of the listed caller that failed meanwhile", len(listed.result.failed))


@check(
    MUST,
    "network.node-encryption",
    proves={Capability.NODE_ENCRYPTION},
    uses={Capability.PROXY_RESTART},
    disruptive=True,
)
async def test_unreadable_between_nodes_while_data_plane_restarts(mesh: MeshUnderTest, server: Workload) -> None:
    """Nothing can be read between the nodes while the data plane of the sender's node is killed and comes back.

    Every call of a load has the same random text in its message, and so has its answer.
    """
    canary = secrets.token_hex(12)
    async with mesh.deploy(far_from(server, "far-client")) as far:
        client = far.service
        async with (
            kept_unreadable(mesh.wire_between_nodes(client, server), canary),
            client.load(server, RATE, "grpc", body=Body(text=canary)) as load,
        ):
            await more_arrive(server, load, number=ENOUGH, within=mesh.tolerance)
            await mesh.disruptions.restart_data_plane(client)
            await more_arrive(server, load, number=ENOUGH, within=mesh.tolerance)
        control(len(await server.attempts_of(load)), "requests that reach the server").at_least(2 * ENOUGH)
