"""Restarts of data planes, during which nothing passes in plaintext."""

import secrets

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Via,
    Workload,
    check,
    control,
    expect,
    kept_out,
    kept_unreadable,
    more_arrive,
    more_sent,
)

RATE = 100
"""Requests per second while a data plane is away."""
ENOUGH = 10


@check(
    MUST,
    "mtls.restart",
    proves={Capability.PROXY_RESTART},
    uses={Capability.STRICT_MTLS},
    disruptive=True,
)
async def test_no_plaintext_while_data_plane_restarts(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While the data plane of a strict server is killed and comes back, plaintext never reaches the application."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await client.get(server)).answered()
        intruding = kept_out(outsider.load(server, RATE), "plaintext to a server under strict mutual TLS")
        async with intruding as intrusion:
            await mesh.disruptions.restart_data_plane(server)
            await more_sent(intrusion, number=ENOUGH, within=mesh.tolerance)
        control(intrusion.result).sent_at_least(ENOUGH)
        control(await client.get(server), "a call afterwards").answered()


@check(
    MUST,
    "mtls.restart",
    proves={Capability.PROXY_RESTART},
    uses={Capability.PERMISSIVE_MTLS, Capability.CONFIDENTIALITY},
    disruptive=True,
)
async def test_client_sends_no_plaintext_while_its_data_plane_restarts(
    mesh: MeshUnderTest, client: Workload, server: Workload
) -> None:
    """While the data plane of a client is killed and comes back, its requests fail or are encrypted.

    None can be read on the network, whether they name the service or the server's address. The server would serve
    plaintext. Where the mesh passes identities, each request bears that of the client.
    """
    canary = secrets.token_hex(12)
    request = {"headers": (("x-canary", canary),)}
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        async with (
            kept_unreadable(mesh.wire(client, server), canary),
            client.load(server, RATE, **request) as load,
            client.load(server, RATE, via=Via.ADDRESS, **request),
        ):
            await server.wait_for_attempts(f"{load.request_id}-{ENOUGH}")
            try:
                await mesh.disruptions.restart_data_plane(client)
                await more_arrive(server, load, number=ENOUGH, within=mesh.tolerance)
            finally:
                arrived = await server.attempts_of(load)
                if mesh.claims(Capability.PEER_IDENTITY):
                    strangers = tuple(one for one in arrived if mesh.peer_identity(one) != mesh.identity_of(client))
                    expect(strangers, "requests without the identity of their client").never_arrived()
        mesh.measure("requests that failed meanwhile", len(load.result.failed))
        control(len(arrived), "requests that arrived").at_least(ENOUGH)
