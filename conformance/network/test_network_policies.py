"""Who may connect to a workload, as its network decides."""

from dataclasses import replace

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    NetworkPolicy,
    Placement,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    slow,
)

from ..calls import PATIENCE, calls, calls_from_nodes, deletion_acts, made, record_own_node
from ..mtls.starts import LATE, called_from_its_start
from .decisions import UNLISTED, all_are_answered, all_are_refused, all_are_served

STARTS = (2, pytest.param(30, marks=slow))
RATE = 100
"""Requests per second to a workload that starts: a refused one is under way for as long as its client is patient."""
REACHED_WITHIN = 10.0
"""Seconds until one of them has reached a workload that nothing protects."""


@check(MUST, "network.default-deny", proves={Capability.NETWORK_POLICY})
async def test_default_deny(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, outsider: Workload, server: Workload
) -> None:
    """A workload that a policy selects without a caller is reached by nobody, on no port."""
    everything = calls((client, client_in_green, outsider), (server,), *UNLISTED)
    await all_are_served(mesh, everything)
    async with mesh.policy(NetworkPolicy(server)):
        seen = await made(mesh, everything)
    await all_are_refused(mesh, seen)


@check(MUST, "network.identity-and-port", proves={Capability.NETWORK_POLICY})
async def test_allow_by_identity_and_port(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    outsider: Workload,
    server: Workload,
    server_in_green: Workload,
    client_in_green: Workload,
) -> None:
    """The listed caller reaches the listed port and no other, and a neighbour with another name reaches nothing.

    Each of three servers has a policy of its own, which lists another port.
    """
    admitting = tuple(zip((server, server_in_green, client_in_green), UNLISTED.items(), strict=True))
    listed = [call for admits, (port, _) in admitting for call in calls((client,), (admits,), port)]
    unlisted = [
        call
        for admits, (port, other) in admitting
        for call in (*calls((client,), (admits,), other), *calls((second_client, outsider), (admits,), port))
    ]
    await all_are_served(mesh, (*listed, *unlisted))
    async with mesh.policy(*(NetworkPolicy(admits, (client,), (port,)) for admits, (port, _) in admitting)):
        served, seen = await made(mesh, listed), await made(mesh, unlisted)
    await all_are_refused(mesh, seen)
    all_are_answered(served)


@check(MUST, "network.revocation", proves={Capability.NETWORK_POLICY})
async def test_removed_caller_is_refused(
    mesh: MeshUnderTest, client: Workload, second_client: Workload, server: Workload
) -> None:
    """A caller removed from a policy is refused within the documented time; callers still listed are served."""
    removed = calls((second_client,), (server,), "http", "grpc")
    listed = calls((client,), (server,), "http", "grpc")
    async with mesh.policy(NetworkPolicy(server, (client,), ("http", "grpc"))):
        async with mesh.policy(NetworkPolicy(server, (client, second_client), ("http", "grpc"))):
            for call, seen in (await made(mesh, removed)).items():
                control(seen, f"{call}, still listed").answered()
        await deletion_acts(mesh)
        await all_are_refused(mesh, await made(mesh, removed))
        all_are_answered(await made(mesh, listed))


@check(MUST, "network.every-path", proves={Capability.NETWORK_POLICY})
async def test_same_decision_on_every_path(mesh: MeshUnderTest, server: Workload) -> None:
    """Callers on the server's node and on another node meet the same decision, by service and by address."""
    near, far = Placement(server.spec, same_node=True), Placement(server.spec, same_node=False)
    callers = [
        WorkloadSpec("blue", name, placement=placement)
        for name, placement in (("listed", near), ("listed-far", far), ("stranger", near), ("stranger-far", far))
    ]
    async with mesh.deploy_together(*callers) as (*allowed, near_stranger, far_stranger):
        listed, others = (calls(some, (server,), "http") for some in (allowed, (near_stranger, far_stranger)))
        await all_are_served(mesh, (*listed, *others))
        async with mesh.policy(NetworkPolicy(server, tuple(allowed), ("http",))):
            served, seen = await made(mesh, listed), await made(mesh, others)
        await all_are_refused(mesh, seen)
    all_are_answered(served)


@check(MUST, "network.nodes", proves={Capability.NETWORK_POLICY})
async def test_other_nodes_are_refused(mesh: MeshUnderTest, server: Workload) -> None:
    """A process in the network of another node reaches no port of a workload that a policy selects without a caller.

    Whether one on the workload's own node does is recorded: Kubernetes promises to let it in.
    """
    async with calls_from_nodes(mesh, server, *UNLISTED) as (of_other, of_own):
        await all_are_served(mesh, (*of_other, *of_own))
        async with mesh.policy(NetworkPolicy(server)):
            seen, seen_of_own = await made(mesh, of_other), await made(mesh, of_own)
        await all_are_refused(mesh, seen)
    record_own_node(mesh, seen_of_own)


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
            outcome = await called_from_its_start(mesh, outsider, client, rate=RATE, patience=PATIENCE * mesh.scale)
            expect(outcome, f"start {start + 1}").refused()
