"""Who is let in without TLS."""

import secrets

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Body,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Namespace,
    Via,
    WholeMesh,
    Workload,
    check,
    control,
    expect,
)

SILENCE = 3.0
"""Seconds that a client waits for a server that speaks first; a client that is let in receives the banner at once."""

SCOPES = {
    # id: the policy's target, from the server's point of view
    "workload": lambda server: server,
    "namespace": lambda server: Namespace(server.namespace),
    "mesh": lambda _server: WholeMesh(),
}

PORTS = ("http", "http-alt", "grpc", "tcp")

STRICT_PORTS = {
    # id: ports declared strict in one policy; all others stay permissive
    "first-and-second": ("http", "http-alt"),
    "second-and-first": ("http-alt", "http"),
    "http-and-grpc": ("http", "grpc"),
    "http-grpc-tcp": ("http-alt", "grpc", "tcp"),
}


@pytest.mark.parametrize("via", Via, ids=str)
@pytest.mark.parametrize("scope", SCOPES)
@check(MUST, "mtls.strict", proves={Capability.STRICT_MTLS})
async def test_plaintext_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, scope: str, via: Via
) -> None:
    """A workload under strict mutual TLS refuses a plaintext connection, by service name and by workload address.

    The connection is turned away by the mesh and never reaches the application, whether the policy is about the
    workload, its namespace or the whole mesh, and on whichever port. Enrolled clients are served meanwhile.
    """
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        for port in PORTS:
            control(await outsider.get(server, port, via), port).answered()
    async with mesh.policy(MutualTls(SCOPES[scope](server), Mode.STRICT)):
        for port in PORTS:
            control(await client.get(server, port), port).answered()
            refused = await outsider.get(server, port, via)
            expect(refused, port).refused(mesh.refusals.plaintext, arrived=await server.attempts(refused))


@pytest.mark.parametrize("ports", STRICT_PORTS)
@check(MUST, "mtls.strict-port", proves={Capability.PORT_LEVEL_MTLS}, uses={Capability.PERMISSIVE_MTLS})
async def test_plaintext_is_refused_on_every_strict_port(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, ports: str
) -> None:
    """Where several ports are declared strict, each of them refuses plaintext, and the others still accept it.

    Every listed port counts, not just the first, and no connection has to match several of them.
    """
    strict = STRICT_PORTS[ports]
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        for port in strict:
            control(await outsider.get(server, port)).answered()
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE, dict.fromkeys(strict, Mode.STRICT))):
        for port in strict:
            refused = await outsider.get(server, port)
            expect(refused, port).refused(mesh.refusals.plaintext, arrived=await server.attempts(refused))
        unlisted = next(port for port in ("tcp", "http") if port not in strict)
        expect(await outsider.get(server, unlisted), "a port that is not listed").answered()


@pytest.mark.parametrize("port", ["grpc", "tcp", "tcp-banner"])
@check(MUST, "mtls.strict", proves={Capability.STRICT_MTLS})
async def test_plaintext_is_refused_for_tcp_and_grpc(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, port: str
) -> None:
    """Strict mutual TLS holds for gRPC, for opaque TCP, and for TCP where the server speaks first.

    A client that waits for the server to speak says nothing that could be refused; some meshes leave it waiting.
    """
    silent = server.spec.port(port).server_first
    if not silent or mesh.claims(Capability.PERMISSIVE_SERVER_FIRST):
        async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
            control(await outsider.get(server, port)).answered()
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await client.get(server, port)).answered()
        refused = await outsider.get(server, port, **({"patience": SILENCE * mesh.scale} if silent else {}))
        forms = mesh.refusals.silence if silent else mesh.refusals.plaintext
        expect(refused).refused(forms, arrived=await server.attempts(refused))


@pytest.mark.parametrize("port", ["http", "grpc", "tcp"])
@check(MUST, "mtls.permissive", proves={Capability.PERMISSIVE_MTLS})
async def test_permissive_accepts_both(
    mesh: MeshUnderTest, server: Workload, client: Workload, outsider: Workload, port: str
) -> None:
    """Under permissive mutual TLS an outsider's plaintext is served, and an enrolled client is served over TLS.

    The enrolled client is authenticated where the mesh passes identities on, and cannot be read on the wire.
    """
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        expect(await outsider.get(server, port)).answered()
        canary = secrets.token_hex(12)
        async with mesh.wire(client, server, port) as wire:
            served = expect(await client.post(server, Body(text=canary), port)).answered()
            expect(await wire.look_for(canary)).unreadable()
        for attempt in await server.attempts(served):
            if port != "tcp" and mesh.claims(Capability.PEER_IDENTITY):
                expect(mesh.peer_identity(attempt), "the caller's identity").equals(mesh.identity_of(client))
