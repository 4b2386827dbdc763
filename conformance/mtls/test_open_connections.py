"""Plaintext connections that are open when a policy closes the door."""

from contextlib import AsyncExitStack

import pytest

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
    slow,
)

from .plaintext import is_handled

PORTS = ("tcp", "grpc")
WATCHED = [pytest.param(1.5, id="briefly"), pytest.param(60.0, id="a-minute", marks=slow)]
"""Seconds for which a connection is watched: some data planes drain it for most of a minute."""
UNHURRIED = 0.05
"""Seconds between two messages on it."""


def has_ended(echoed: Exchange) -> bool:
    """Whether a message on an open connection was not echoed."""
    return echoed.ending is not Ending.ANSWERED


@pytest.mark.parametrize("watched", WATCHED)
@check(MAY, "mtls.open-connections", uses={Capability.STRICT_MTLS, Capability.PERMISSIVE_MTLS})
async def test_open_connections_follow_policy(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, watched: float
) -> None:
    """The fate of plaintext connections that are open when strict mutual TLS is turned on is recorded.

    A TCP connection and a gRPC call are opened under permissive mutual TLS. They may go on, or end after some time; new
    plaintext connections are refused meanwhile.
    """
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)), AsyncExitStack() as streams:
        opened = {port: await streams.enter_async_context(outsider.stream(server, port)) for port in PORTS}
        for port, stream in opened.items():
            control(has_ended(await stream.echo()), f"the end of an open connection, {port}").equals(False)
        async with mesh.policy(MutualTls(server, Mode.STRICT)):
            for port in PORTS:
                await is_handled(mesh, outsider, server, port, Mode.STRICT, f"a new connection, {port}")
            for port, stream in opened.items():
                last, seconds = await converge(stream.echo, has_ended, watched * mesh.scale, every=UNHURRIED)
                outcome = f"{last.ending} after {seconds:.1f} s" if has_ended(last) else "open"
                mesh.measure(f"an open plaintext connection, {port}, is then", outcome)
