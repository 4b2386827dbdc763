"""Peers with good and with hostile certificates, and what becomes of them as clients and as servers."""

import datetime
from collections.abc import Callable

from pytest_meshcheck.suite import (
    Credentials,
    Exchange,
    Issuer,
    MeshUnderTest,
    Mode,
    MutualTls,
    Validity,
    Via,
    Workload,
    control,
    converge,
    expect,
)

HOUR = datetime.timedelta(hours=1)
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
        control(await mesh.knock(outsider, server, good(mesh, identity))).answered()
        refused = await mesh.knock(outsider, server, hostile(mesh, identity))
        expect(refused).refused(mesh.documented.mtls.peer_refused_as)
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
    expect(refused).refused(mesh.documented.mtls.peer_refused_as, mesh.documented.mtls.upstream_refused_statuses)
    expect(await impostor.saw(refused)).nothing()


async def is_reached(mesh: MeshUnderTest, client: Workload, impostor: Workload, via: Via) -> None:
    """Control: the impostor is served; a data plane that refused it before may keep away from it for a moment."""

    async def reach() -> Exchange:
        return await client.get(impostor, via=via)

    answer, _ = await converge(reach, lambda seen: seen.status == 200, REMEMBERED * mesh.tolerance, every=0.1)
    control(answer).answered()
