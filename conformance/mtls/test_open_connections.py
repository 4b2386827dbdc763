"""Plaintext connections that are open when a policy closes the door."""

from contextlib import AsyncExitStack

from pytest_meshcheck.suite import (
    MAY,
    Capability,
    Ending,
    Exchange,
    MeshUnderTest,
    Mode,
    MutualTls,
    Workload,
    check,
    control,
    converge,
    expect,
)

PORTS = ("tcp", "grpc")
WATCHED = 1.5
"""Seconds for which a connection is watched."""
UNHURRIED = 0.05
"""Seconds between two messages on it."""


def has_ended(echoed: Exchange) -> bool:
    """Whether a message on an open connection was not echoed."""
    return echoed.ending is not Ending.ANSWERED


@check(MAY, "mtls.open-connections", uses={Capability.STRICT_MTLS, Capability.PERMISSIVE_MTLS})
async def test_open_connections_follow_policy(mesh: MeshUnderTest, server: Workload, outsider: Workload) -> None:
    """What becomes of plaintext connections that are open when strict mutual TLS is turned on, is recorded.

    A TCP connection and a gRPC call are open under permissive mutual TLS. They may go on, or end after some time; new
    plaintext connections are refused meanwhile.
    """
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)), AsyncExitStack() as streams:
        opened = {port: await streams.enter_async_context(outsider.stream(server, port)) for port in PORTS}
        for port, stream in opened.items():
            control(has_ended(await stream.echo()), f"the end of an open connection, {port}").equals(False)
        async with mesh.policy(MutualTls(server, Mode.STRICT)):
            for port in PORTS:
                refused = await outsider.get(server, port)
                expect(refused, f"a new connection, {port}").refused(mesh.refusals.plaintext)
                expect(await server.attempts(refused), f"a new connection, {port}").never_arrived()
            for port, stream in opened.items():
                last, seconds = await converge(stream.echo, has_ended, WATCHED * mesh.scale, every=UNHURRIED)
                outcome = f"{last.ending} after {seconds:.1f} s" if has_ended(last) else "open"
                mesh.measure(f"an open plaintext connection, {port}, is then", outcome)
