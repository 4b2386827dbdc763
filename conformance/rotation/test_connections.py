"""The number of TLS handshakes between data planes, each of which takes the newest certificates."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    RequestsPerConnection,
    Workload,
    check,
    control,
    expect,
)

REQUESTS = 12
"""More than a data plane opens connections by itself."""


async def connections_of(mesh: MeshUnderTest, client: Workload, server: Workload) -> int:
    """The connections between two data planes that carry a number of sequential requests."""
    async with mesh.wire(client, server) as wire:
        for _ in range(REQUESTS):
            control(await client.get(server)).answered()
        return (await wire.look_for()).connections


@check(MUST, "rotation.connections", proves={Capability.CONNECTION_REUSE})
async def test_connections_are_replaced_at_their_limit(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """Under a limit of one request per connection, each request has a connection between data planes of its own.

    So each of them is a handshake, and certificates from before a renewal are not used for longer than a request.
    """
    control(REQUESTS - await connections_of(mesh, client, server), "requests that share a connection").at_least(1)
    async with mesh.policy(RequestsPerConnection(server, 1)):
        limited = await connections_of(mesh, client, server)
    expect(limited, f"connections of {REQUESTS} requests").at_least(REQUESTS)
