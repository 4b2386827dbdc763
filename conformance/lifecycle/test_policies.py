"""Policies come and go while requests are under way."""

from collections.abc import Sequence

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    RequestsPerConnection,
    Retry,
    Timeout,
    Workload,
    check,
    control,
    expect,
    more_arrive,
)

RATE = 40
"""Requests per second over each protocol."""
MEETING = 3
"""Requests of each load that have to arrive under each policy."""
ENOUGH = 15
PLENTY = 5.0
"""Seconds; no request takes that long."""

Change = tuple[Capability, MutualTls | Retry | Timeout | RequestsPerConnection]


def changes(server: Workload) -> Sequence[Change]:
    """Policies that let every request of a member through, with the capability that each needs."""
    return (
        (Capability.RETRY, Retry(server, 2, statuses={503})),
        (Capability.RETRY, Retry(server, 1, statuses={502, 503})),
        (Capability.TIMEOUT, Timeout(server, PLENTY)),
        (Capability.CONNECTION_REUSE, RequestsPerConnection(server, 1)),
        (Capability.STRICT_MTLS, MutualTls(server, Mode.STRICT)),
        (Capability.PERMISSIVE_MTLS, MutualTls(server, Mode.PERMISSIVE)),
    )


@check(MUST, "lifecycle.policy-change", uses={Capability.MTLS})
async def test_policy_change_loses_nothing(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While policies are applied and deleted one after the other, no request over HTTP or gRPC is lost or doubled.

    They concern retries, time limits, connections and the mode of mutual TLS, as far as the mesh claims support.
    """
    control(len(await mesh.served_chain(outsider, server)), "certificates that the server's data plane shows").at_least(
        1
    )
    async with client.load(server, RATE) as http, client.load(server, RATE, "grpc") as grpc:
        for capability, policy in changes(server):
            if mesh.claims(capability):
                async with mesh.policy(policy):
                    await more_arrive(server, http, grpc, number=MEETING, within=mesh.tolerance)
    for port, load in {"http": http.result, "grpc": grpc.result}.items():
        mesh.measure(f"{port}: requests", load.sent)
        mesh.measure(f"{port}: failed", len(load.failed))
        expect(load, port).lost_nothing(ENOUGH, mesh.tolerance)
