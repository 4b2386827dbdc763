"""Which certificates open the door: hostile clients at an enrolled server, impostors before an enrolled client."""

import pytest

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
)

from .peers import (
    Minted,
    expired,
    good,
    insist_on_impostors,
    judged_by_bytes,
    not_yet_valid,
    of_another_authority,
    of_another_namespace,
    of_another_service_account,
    of_another_trust_domain,
    peers_are_refused,
    server_is_refused,
    without_identity,
)

PORTS = ("http", "grpc", "tcp")
"""One of each protocol: a data plane may have a TLS context, and a list of names, for each."""

UNKNOWN_PROTOCOL = 15.0
"""Seconds that a data plane may wait for more bytes of an unknown protocol before it refuses it."""


@pytest.mark.parametrize("port", PORTS)
@check(MUST, "mtls.strict", proves={Capability.STRICT_MTLS})
async def test_client_without_certificate_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, port: str
) -> None:
    """TLS alone is not enough: under strict mutual TLS a client that shows no certificate is refused."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await client.get(server, port)).answered()
        refused = await mesh.tls_request(outsider, server, None, port)
        control(refused.tls is not None, "the server speaks TLS").is_true(otherwise=f"no handshake: {refused.detail}")
        expect(refused).refused(mesh.refusals.client, arrived=judged_by_bytes(mesh, await server.attempts(refused)))


@pytest.mark.parametrize("port", PORTS)
@check(
    MUST,
    "mtls.trusted-root",
    proves={Capability.MTLS},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
)
async def test_certificate_of_another_authority_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, impostor: Workload, port: str
) -> None:
    """A peer whose certificate was signed by an authority that the mesh does not trust is refused.

    This holds for clients, and for servers on ports where the mesh lets clients reach an impostor.
    """
    await peers_are_refused(mesh, client, server, outsider, impostor, of_another_authority, port)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("hostile", [expired, not_yet_valid], ids=["expired", "not-yet-valid"])
@check(
    MUST,
    "mtls.validity-period",
    proves={Capability.MTLS},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
)
async def test_expired_certificate_is_refused(
    mesh: MeshUnderTest,
    server: Workload,
    outsider: Workload,
    client: Workload,
    impostor: Workload,
    hostile: Minted,
    port: str,
) -> None:
    """A peer whose certificate has expired, or is not yet valid, is refused, as client and as server."""
    await peers_are_refused(mesh, client, server, outsider, impostor, hostile, port)


@pytest.mark.parametrize("port", PORTS)
@check(MUST, "mtls.trust-domain", uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS})
async def test_other_trust_domain_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, impostor: Workload, port: str
) -> None:
    """A peer of another trust domain is refused even where both domains share a root, as client and as server."""
    await peers_are_refused(mesh, client, server, outsider, impostor, of_another_trust_domain, port)


@pytest.mark.parametrize("via", Via, ids=str)
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    "hostile",
    [of_another_service_account, of_another_namespace, without_identity],
    ids=["other-service-account", "other-namespace", "no-identity"],
)
@check(MUST, "mtls.server-identity", proves={Capability.SERVER_IDENTITY}, uses={Capability.CUSTOM_AUTHORITY})
async def test_impostor_server_is_refused(
    mesh: MeshUnderTest, client: Workload, impostor: Workload, hostile: Minted, port: str, via: Via
) -> None:
    """A client's data plane refuses a server whose certificate names another service than the one that is called.

    The certificate is otherwise good, from the right authority. The server is called by the name of its service and by
    its own address, since it may be another proxy that meets it.

    Not a single byte of the request reaches the impostor's application.
    """
    insist_on_impostors(mesh, port, via)
    await server_is_refused(mesh, client, impostor, hostile, port, via)


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1"])
@check(MUST, "mtls.protocol-floor", uses={Capability.STRICT_MTLS, Capability.CUSTOM_AUTHORITY})
async def test_protocol_floor(mesh: MeshUnderTest, server: Workload, outsider: Workload, version: str) -> None:
    """A TLS handshake below version 1.2 is refused on every port; version, cipher and group in use are recorded.

    Under strict mutual TLS: otherwise a data plane may take an unknown protocol for an application's own TLS.
    """
    credentials = good(mesh, mesh.identity_of(outsider))
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        for port in PORTS:
            served = control(await mesh.tls_request(outsider, server, credentials, port), port).answered()
            if served.tls:
                mesh.measure(f"TLS, {port}", f"{served.tls.version} {served.tls.cipher} {served.tls.group}".strip())
            patience = UNKNOWN_PROTOCOL * mesh.scale
            how = {"request": {"patience": patience}, "minimum": version, "maximum": version}
            refused = await mesh.tls_request(outsider, server, credentials, port, **how)
            expect(refused, port).refused(
                mesh.refusals.client, arrived=judged_by_bytes(mesh, await server.attempts(refused))
            )
