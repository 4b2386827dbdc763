"""The peer's identity, as the server's application receives it."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Workload,
    check,
    control,
    expect,
)

FORGED = {
    # header: the identity that a client claims in it
    "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/blue/sa/server;URI=spiffe://cluster.local/ns/blue/sa/forged",
    "l5d-client-id": "forged.blue.serviceaccount.identity.linkerd.cluster.local",
    "x-forwarded-identity": "spiffe://cluster.local/ns/blue/sa/forged",
}


@pytest.mark.parametrize("port", ["http", "grpc"])
@check(MUST, "identity.caller", proves={Capability.PEER_IDENTITY})
async def test_server_sees_the_callers_identity(
    mesh: MeshUnderTest,
    server: Workload,
    client: Workload,
    second_client: Workload,
    client_in_green: Workload,
    port: str,
) -> None:
    """The identity that a server receives is that of the caller's service account; different callers differ.

    Two service accounts of one namespace, and one of the same name in another namespace.
    """
    seen = []
    for caller in (client, second_client, client_in_green):
        served = control(await caller.get(server, port)).answered()
        (attempt,) = control(await server.attempts(served)).attempted(1)
        seen.append(mesh.peer_identity(attempt))
        expect(seen[-1], f"the identity of {caller}").equals(mesh.identity_of(caller))
    expect(len(set(seen)), "different identities").equals(3)


@pytest.mark.parametrize("who", ["enrolled", "outsider"])
@check(MUST, "identity.spoofing", proves={Capability.PEER_IDENTITY}, uses={Capability.PERMISSIVE_MTLS})
async def test_claimed_identity_headers_are_not_trusted(
    mesh: MeshUnderTest, server: Workload, client: Workload, outsider: Workload, who: str
) -> None:
    """An identity that a client claims in a header is removed or overwritten before the application sees it.

    This holds for enrolled clients and for outsiders under permissive mutual TLS, over HTTP and gRPC.
    """
    caller = client if who == "enrolled" else outsider
    claims = tuple((name, value) for name, value in FORGED.items() if name in mesh.documented.identity.headers)
    expected = mesh.identity_of(client) if who == "enrolled" else None
    for port in ("http", "grpc"):
        async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
            served = control(await caller.get(server, port, headers=(*claims, ("x-neutral", "arrives")))).answered()
        (attempt,) = control(await server.attempts(served)).attempted(1)
        control(attempt.header("x-neutral"), "a neutral header").equals("arrives")
        received = [attempt.header(name) or "" for name in mesh.documented.identity.headers]
        forged = any("forged" in value for value in received)
        expect(forged, f"{port}, a claimed identity at the application").equals(False)
        expect(mesh.peer_identity(attempt), f"{port}, the caller's identity").equals(expected)
