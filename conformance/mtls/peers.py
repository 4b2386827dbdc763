"""Peers with good and with hostile certificates, tried as clients and as servers."""

import datetime
from collections.abc import Callable

from pytest_meshcheck.suite import (
    Attempt,
    Credentials,
    Exchange,
    Issuer,
    MeshUnderTest,
    Mode,
    MutualTls,
    Unsupported,
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
    """The right identity, from a root unknown to the mesh."""
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
    """A good certificate of another workload in the same namespace."""
    return good(mesh, mesh.identity_in_stage("grey", "somebody-else"))


def of_another_namespace(mesh: MeshUnderTest, _identity: str) -> Credentials:
    """A good certificate of the same service account in another namespace."""
    return good(mesh, mesh.identity_in_stage("elsewhere", "impostor"))


def without_identity(mesh: MeshUnderTest, _identity: str) -> Credentials:
    """Issued by the mesh's authority, but without a name."""
    return mesh.authority.issuer.leaf([], Validity.of(HOUR))


async def client_is_refused(
    mesh: MeshUnderTest, outsider: Workload, server: Workload, hostile: Minted, *ports: str, what: str = ""
) -> None:
    """A TLS client with this certificate does not get through to an enrolled server; with a good one it does."""
    identity = mesh.identity_of(outsider)
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        for port in ports:
            control(await mesh.tls_request(outsider, server, good(mesh, identity), port)).answered()
            refused = await mesh.tls_request(outsider, server, hostile(mesh, identity), port)
            subject = f"{port}, {what}" if what else port
            expect(refused, subject).refused(
                mesh.refusals.client, arrived=judged_by_bytes(mesh, await server.attempts(refused))
            )


def judged_by_bytes(mesh: MeshUnderTest, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Attempts without connections that bear no byte, where the mesh documents that it opens some for refused peers."""
    early = mesh.documented.mtls.connects_early
    return tuple(one for one in attempts if one.request_id or one.body_length or not early)


async def server_is_refused(
    mesh: MeshUnderTest,
    client: Workload,
    impostor: Workload,
    hostile: Minted,
    port: str = "http",
    via: Via = Via.SERVICE,
    what: str = "",
) -> None:
    """An enrolled client's data plane does not talk to a server with this certificate; with a good one it does."""
    identity = mesh.identity_of(impostor)
    await mesh.impersonate(impostor, good(mesh, identity), port)
    await is_reached(mesh, client, impostor, port, via)
    await mesh.impersonate(impostor, hostile(mesh, identity), port)
    refused = await client.get(impostor, port, via)
    expect(refused, what).refused(mesh.refusals.server, arrived=await impostor.attempts(refused))


def insist_on_impostors(mesh: MeshUnderTest, port: str, via: Via) -> None:
    """Raise Unsupported unless the mesh lets clients reach an impostor on this port."""
    if not mesh.meets_impostors(port, via):
        raise Unsupported(f"{mesh.adapter.name} does not let clients reach an impostor on the port {port} by its {via}")


async def is_reached(mesh: MeshUnderTest, client: Workload, impostor: Workload, port: str, via: Via) -> None:
    """Control: the impostor is served; a data plane that refused it before may keep away from it for a moment."""

    async def reach() -> Exchange:
        return await client.get(impostor, port, via)

    answer, _ = await converge(reach, lambda seen: seen.served, REMEMBERED * mesh.tolerance, every=0.1)
    control(answer).answered()


async def peers_are_refused(
    mesh: MeshUnderTest,
    client: Workload,
    server: Workload,
    outsider: Workload,
    impostor: Workload,
    hostile: Minted,
    port: str,
) -> None:
    """A peer with this certificate is refused as client, and as server where clients can reach an impostor."""
    await client_is_refused(mesh, outsider, server, hostile, port)
    if mesh.meets_impostors(port):
        await server_is_refused(mesh, client, impostor, hostile, port)


def path_of(identity: str, trust_domain: str) -> str:
    """What of a SPIFFE ID follows its trust domain; all of a DNS name."""
    return identity.partition("://")[2].removeprefix(trust_domain) or identity
