"""Which certificates open the door: hostile clients at an enrolled server, impostors before an enrolled client."""

import datetime
from collections.abc import Callable

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Credentials,
    Exchange,
    Issuer,
    MeshUnderTest,
    Mode,
    MutualTls,
    Validity,
    Via,
    Workload,
    check,
    control,
    converge,
    expect,
)

HOUR = datetime.timedelta(hours=1)
UNKNOWN_PROTOCOL = 15.0
"""Seconds that a data plane may wait for more of what it does not know, before it refuses it."""

REMEMBERED = 10
"""For so many tolerances a data plane may keep away from a server that it refused."""

Minted = Callable[[MeshUnderTest, str], Credentials]


def good(mesh: MeshUnderTest, identity: str) -> Credentials:
    """A certificate as the mesh itself would issue it."""
    return mesh.authority.issue(identity, HOUR.total_seconds())


def of_another_authority(_mesh: MeshUnderTest, identity: str) -> Credentials:
    """The right identity, from a root that the mesh was never told of."""
    return Issuer.self_signed("stranger root").intermediate("stranger issuer").leaf([identity], Validity.of(HOUR))


def expired(mesh: MeshUnderTest, identity: str) -> Credentials:
    """Right in all but that it ended an hour ago."""
    now = datetime.datetime.now(datetime.UTC)
    return mesh.authority.issuer.leaf([identity], Validity(now - 2 * HOUR, now - HOUR))


def not_yet_valid(mesh: MeshUnderTest, identity: str) -> Credentials:
    """Right in all but that it begins in an hour."""
    now = datetime.datetime.now(datetime.UTC)
    return mesh.authority.issuer.leaf([identity], Validity(now + HOUR, now + 2 * HOUR))


def of_another_trust_domain(mesh: MeshUnderTest, identity: str) -> Credentials:
    """The same path and the same root, in a trust domain that is no alias of the mesh's."""
    foreign = identity.replace(mesh.authority.trust_domain, "foreign.example", 1)
    return mesh.authority.issuer.leaf([foreign], Validity.of(HOUR))


def of_another_service_account(mesh: MeshUnderTest, _identity: str) -> Credentials:
    """A good certificate of somebody else in the same namespace."""
    return good(mesh, mesh.identity_in_stage("grey", "somebody-else"))


def of_another_namespace(mesh: MeshUnderTest, _identity: str) -> Credentials:
    """A good certificate of the same service account in another namespace."""
    return good(mesh, mesh.identity_in_stage("elsewhere", "impostor"))


def without_identity(mesh: MeshUnderTest, _identity: str) -> Credentials:
    """Issued by the mesh's authority, but naming nobody."""
    return mesh.authority.issuer.leaf([], Validity.of(HOUR))


async def client_is_refused(mesh: MeshUnderTest, outsider: Workload, server: Workload, hostile: Minted) -> None:
    """A TLS client with this certificate does not get through to an enrolled server; with a good one it does."""
    identity = mesh.identity_of(outsider)
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await mesh.tls_request(outsider, server, good(mesh, identity))).answered()
        refused = await mesh.tls_request(outsider, server, hostile(mesh, identity))
        expect(refused).refused(mesh.refusals.client)
        expect(await server.saw(refused)).nothing()


async def server_is_refused(
    mesh: MeshUnderTest, client: Workload, impostor: Workload, hostile: Minted, via: Via = Via.SERVICE
) -> None:
    """An enrolled client's data plane does not talk to a server with this certificate; with a good one it does."""
    identity = mesh.identity_of(impostor)
    await mesh.impersonate(impostor, good(mesh, identity))
    await is_reached(mesh, client, impostor, via)
    await mesh.impersonate(impostor, hostile(mesh, identity))
    refused = await client.get(impostor, via=via)
    expect(refused).refused(mesh.refusals.server)
    expect(await impostor.saw(refused)).nothing()


async def is_reached(mesh: MeshUnderTest, client: Workload, impostor: Workload, via: Via) -> None:
    """Control: the impostor is served; a data plane that refused it before may keep away from it for a moment."""

    async def reach() -> Exchange:
        return await client.get(impostor, via=via)

    answer, _ = await converge(reach, lambda seen: seen.status == 200, REMEMBERED * mesh.tolerance, every=0.1)
    control(answer).answered()


@check(MUST, "mtls.strict", proves={Capability.STRICT_MTLS})
async def test_client_without_certificate_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload
) -> None:
    """TLS alone is not enough: under strict mutual TLS a client that shows no certificate is refused."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await client.get(server)).answered()
        refused = await mesh.tls_request(outsider, server, None)
        control(refused.tls is not None, "the server speaks TLS").holds(f"no handshake: {refused.detail}")
        expect(refused).refused(mesh.refusals.client)
        expect(await server.saw(refused)).nothing()


@check(
    MUST,
    "mtls.trusted-root",
    proves={Capability.MTLS},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
)
async def test_certificate_of_another_authority_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, impostor: Workload
) -> None:
    """A peer whose certificate was signed by an authority that the mesh does not trust is refused.

    This holds for clients and for servers.
    """
    await client_is_refused(mesh, outsider, server, of_another_authority)
    await server_is_refused(mesh, client, impostor, of_another_authority)


@pytest.mark.parametrize("hostile", [expired, not_yet_valid], ids=["expired", "not-yet-valid"])
@check(
    MUST,
    "mtls.validity-period",
    proves={Capability.MTLS},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
)
async def test_expired_certificate_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, impostor: Workload, hostile: Minted
) -> None:
    """A peer whose certificate has expired, or is not yet valid, is refused, as client and as server."""
    await client_is_refused(mesh, outsider, server, hostile)
    await server_is_refused(mesh, client, impostor, hostile)


@check(MUST, "mtls.trust-domain", uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS})
async def test_other_trust_domain_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, impostor: Workload
) -> None:
    """A peer of another trust domain is refused even where both domains share a root, as client and as server."""
    await client_is_refused(mesh, outsider, server, of_another_trust_domain)
    await server_is_refused(mesh, client, impostor, of_another_trust_domain)


@pytest.mark.parametrize("via", Via, ids=str)
@pytest.mark.parametrize(
    "hostile",
    [of_another_service_account, of_another_namespace, without_identity],
    ids=["other-service-account", "other-namespace", "no-identity"],
)
@check(MUST, "mtls.server-identity", proves={Capability.SERVER_IDENTITY}, uses={Capability.CUSTOM_AUTHORITY})
async def test_impostor_server_is_refused(
    mesh: MeshUnderTest, client: Workload, impostor: Workload, hostile: Minted, via: Via
) -> None:
    """A client's data plane refuses a server whose certificate names another service than the one that is called.

    The certificate is otherwise good, from the right authority. The server is called by the name of its service and by
    its own address, since it may be another proxy that meets it.

    Not a single byte of the request reaches the impostor's application.
    """
    await server_is_refused(mesh, client, impostor, hostile, via)


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1"])
@check(MUST, "mtls.protocol-floor", uses={Capability.STRICT_MTLS, Capability.CUSTOM_AUTHORITY})
async def test_protocol_floor(mesh: MeshUnderTest, server: Workload, outsider: Workload, version: str) -> None:
    """A TLS handshake below version 1.2 is refused; version, cipher and key exchange group in use are recorded.

    Under strict mutual TLS: otherwise a data plane may take what it does not know for an application's own TLS.
    """
    credentials = good(mesh, mesh.identity_of(outsider))
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        served = control(await mesh.tls_request(outsider, server, credentials)).answered()
        if served.tls:
            mesh.measure("TLS", f"{served.tls.version} {served.tls.cipher} {served.tls.group}".strip())
        patience = UNKNOWN_PROTOCOL * mesh.scale
        refused = await mesh.tls_request(
            outsider, server, credentials, patience=patience, minimum=version, maximum=version
        )
        expect(refused).refused(mesh.refusals.client)
        expect(await server.saw(refused)).nothing()
