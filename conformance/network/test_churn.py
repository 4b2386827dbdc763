"""Who may connect while other workloads come and go."""

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
    kept_out,
    more_arrive,
    more_sent,
    slow,
)

from ..calls import PATIENCE, calls, made
from .decisions import ENOUGH, RATE, all_are_refused

ROUNDS = (2, pytest.param(15, marks=slow))


@pytest.mark.parametrize("rounds", ROUNDS)
@check(MUST, "network.churn", proves={Capability.NETWORK_POLICY})
async def test_decision_holds_under_churn(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, rounds: int
) -> None:
    """While workloads come and go on both nodes, each with a name of its own, the decision on a server stays the same.

    No request of the listed caller is lost, and none of an unlisted one gets through; nor does one of the newcomers.
    """
    async with mesh.policy(NetworkPolicy(server, (client,), ("http",))):
        unlisted = outsider.load(server, RATE, patience=PATIENCE * mesh.scale)
        intruding = kept_out(unlisted, "requests of a caller that is not listed")
        async with intruding as intrusion, client.load(server, RATE) as listed:
            await more_arrive(server, listed, number=ENOUGH, within=mesh.tolerance)
            for number in range(rounds):
                beside, elsewhere = (
                    WorkloadSpec("blue", f"{where}-{number}", placement=Placement(server.spec, same_node=same))
                    for where, same in (("beside", True), ("elsewhere", False))
                )
                async with mesh.deploy_together(beside, elsewhere) as newcomers:
                    of_newcomers = calls(newcomers, (server,), "http")
                    await all_are_refused(mesh, await made(mesh, of_newcomers))
            await more_sent(intrusion, number=ENOUGH, within=mesh.tolerance)
            await more_arrive(server, listed, number=ENOUGH, within=mesh.tolerance)
        expect(listed.result, "requests of the listed caller").lost_nothing(2 * ENOUGH, mesh.tolerance)
    control(await outsider.get(server), "the same caller without the policy").answered()
