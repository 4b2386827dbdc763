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
    converge,
    expect,
)

RATE = 40
"""Requests per second over each protocol."""
MEETING = 3
"""Requests of each load that have to meet each state."""
ENOUGH = 15
PLENTY = 5.0
"""Seconds that no request takes."""
UNHURRIED = 0.05

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

    They concern retries, time limits, connections and the mode of mutual TLS, as far as the mesh claims to know these.
    """
    control(len(await mesh.served_chain(outsider, server)), "certificates that the server's data plane shows").at_least(
        1
    )
    async with client.load(server, RATE) as http, client.load(server, RATE, "grpc") as grpc:

        async def arrived() -> int:
            return min([len(await server.attempts_of(load)) for load in (http, grpc)])

        async def go_on() -> None:
            before = await arrived()
            await converge(arrived, lambda number: number >= before + MEETING, mesh.tolerance, every=UNHURRIED)

        for capability, policy in changes(server):
            if mesh.claims(capability):
                async with mesh.policy(policy):
                    await go_on()
    for port, load in {"http": http.result, "grpc": grpc.result}.items():
        mesh.measure(f"{port}: requests", load.sent)
        mesh.measure(f"{port}: failed", len(load.failed))
        expect(load, port).lost_nothing(ENOUGH, mesh.tolerance)
