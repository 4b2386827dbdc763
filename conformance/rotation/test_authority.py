"""The authority above the workloads: a new issuer, a second root, and the end of the first."""

import datetime
import itertools
import time

from cryptography import x509

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Exchange,
    Inconclusive,
    Issuer,
    MeshUnderTest,
    Mode,
    MutualTls,
    Rotation,
    Workload,
    check,
    control,
    converge,
    expect,
    more_arrive,
)

from .authorities import UNHURRIED, follows, peer, two_roots

RATE = 50
"""Requests per second while something is rotated, each on a connection of its own."""
SERVED = 20
"""Requests of that load that have to arrive under each issuer."""
WHILE_ROOTS_CHANGE = 30
"""Requests per second over each protocol while workloads may be restarted, which takes the machine's time as well."""
MEETING = 5
"""Requests of a load that have to arrive after each step of such a change."""
ROUNDS = 3
QUICK = 5.0
"""Seconds from a change above the leaves until they follow, up to which it is made several times in a row."""
PORTS = ("http", "grpc", "tcp")
ISSUER_LIFETIME = 30.0
"""Seconds, at least; leaves have to have time to follow."""


def rounds(within: float) -> range:
    """The changes to make, one after the other: each but the first begins where certificates were changed before."""
    return range(ROUNDS if within <= QUICK else 1)


def issuers(within: float) -> int:
    """Issuers per round: where leaves follow slowly, an issuer is replaced before they have followed."""
    return 1 if within <= QUICK else ROUNDS


@check(MUST, "rotation.issuer", proves={Capability.ISSUER_ROTATION}, disruptive=True)
async def test_issuer_changes_under_load(
    mesh: MeshUnderTest, client: Workload, server: Workload, short_lived: Workload, outsider: Workload
) -> None:
    """With a new intermediate under the same root, leaves follow within the documented time, and no request is lost.

    Also where it is replaced again before leaves have followed: they then chain to the last one.
    """
    documented = mesh.documented.rotation.issuer_acts_within
    within = documented + mesh.tolerance
    took = []
    async with mesh.policy(*mesh.fresh_connections(server)), client.load(server, RATE) as load:
        for _round in rounds(documented):
            for _issuer in range(issuers(documented)):
                await mesh.rotate(Rotation.ISSUER)
            seconds = await follows(mesh, outsider, server, within, load)
            took.append(await follows(mesh, outsider, short_lived, within, load, elapsed=seconds))
            await more_arrive(server, load, number=SERVED, within=mesh.tolerance)
    mesh.measure_distribution("a new issuer in leaves", took)
    expect(load.result, rests_on=mesh.time(within)).lost_nothing(SERVED, mesh.tolerance)


@check(MUST, "rotation.root", proves={Capability.ROOT_ROTATION}, disruptive=True)
async def test_whole_root_change_loses_nothing(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While a root is replaced by another, no request over HTTP or gRPC is lost, fails or arrives twice.

    A second root is announced, certificates are issued under it, and then the first one is dropped. Where the mesh
    documents that data planes learn of roots only when they start, client and server are restarted after the first step
    and after the last, each new instance beside the old one, and the load goes on. It ends once data planes have had
    the documented time to drop the first root.
    """
    acts_within = mesh.documented.rotation.roots_act_within
    within, until_dropped = acts_within + mesh.tolerance, round(WHILE_ROOTS_CHANGE * acts_within)
    async with (
        mesh.policy(*mesh.fresh_connections(server)),
        client.load(server, WHILE_ROOTS_CHANGE) as http,
        client.load(server, WHILE_ROOTS_CHANGE, "grpc") as grpc,
    ):
        for round_ in rounds(acts_within):
            begun = time.monotonic()
            for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH, Rotation.ROOT_DROP):
                await mesh.rotate(step)
                for under_way in (http, grpc):
                    await under_way.keeps_up()
                for workload in (client, server) if step is Rotation.ROOT_SWITCH else ():
                    await follows(mesh, outsider, workload, within, http, grpc)
                await more_arrive(server, http, grpc, number=MEETING, within=mesh.tolerance)
            mesh.measure(f"root {round_ + 1} took (s)", round(time.monotonic() - begun, 3))
        await more_arrive(server, http, grpc, number=until_dropped, within=2 * acts_within + mesh.tolerance)
    for port, load in {"http": http.result, "grpc": grpc.result}.items():
        mesh.measure(f"{port}: requests", load.sent)
        expect(load, port, rests_on=mesh.time(within)).lost_nothing(SERVED, mesh.tolerance)


async def issue_under_new_root(mesh: MeshUnderTest, workload: Workload, outsider: Workload) -> None:
    """Switch to the root that was added, and wait until a workload has a leaf under it."""
    await mesh.rotate(Rotation.ROOT_SWITCH)
    await follows(mesh, outsider, workload, mesh.documented.rotation.roots_act_within + mesh.tolerance)


@check(
    MUST,
    "rotation.overlap",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_clients_of_both_roots_are_served(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While both roots are announced, clients under either are served over HTTP, gRPC and TCP.

    An old client meets a new server and a new client an old server, before and after leaves are reissued. The mesh's
    own clients, whose leaf is replaced meanwhile, are served too.
    """
    announced = mesh.time(mesh.documented.rotation.roots_act_within)

    async def are_served(issuers: dict[str, Issuer], step: str) -> None:
        async with mesh.policy(*mesh.fresh_connections(server)):
            for port in PORTS:
                expect(await client.get(server, port), f"{port}, {step}", rests_on=announced).answered()
            for port, (age, issuer) in itertools.product(PORTS, issuers.items()):
                caller = peer(issuer, mesh.identity_of(outsider))
                served = await mesh.tls_request(outsider, server, caller, port)
                expect(served, f"{port}, {age} client, {step}", rests_on=announced).answered()

    async with two_roots(mesh) as issuers:
        await are_served(issuers, "issued under the old root")
        await issue_under_new_root(mesh, server, outsider)
        await are_served(issuers, "issued under the new root")


@check(
    MUST,
    "rotation.overlap",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_servers_of_both_roots_are_reached(
    mesh: MeshUnderTest, client: Workload, outsider: Workload, impostor: Workload
) -> None:
    """While both roots are announced, clients of the mesh reach servers under either over HTTP, gRPC and TCP.

    Before and after leaves are reissued, on ports where the mesh lets clients reach an impostor.
    """
    announced = mesh.time(mesh.documented.rotation.roots_act_within)

    async def are_reached(issuers: dict[str, Issuer], step: str) -> None:
        for port, (age, issuer) in itertools.product(mesh.ports_that_meet_impostors(*PORTS), issuers.items()):
            await mesh.impersonate(impostor, peer(issuer, mesh.identity_of(impostor)), port)
            served = await client.get(impostor, port)
            expect(served, f"{port}, {age} server, {step}", rests_on=announced).answered()

    async with two_roots(mesh) as issuers:
        await are_reached(issuers, "issued under the old root")
        await issue_under_new_root(mesh, client, outsider)
        await are_reached(issuers, "issued under the new root")


async def switched_roots(mesh: MeshUnderTest) -> tuple[Issuer, Issuer]:
    """Announce a second root and issue under it: an issuer under the first root, and the present one."""
    for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH):
        await mesh.rotate(step)
    if (old := mesh.authority.previous) is None:
        raise Inconclusive("the root was replaced, and there is no issuer under the first one")
    return old, mesh.authority.issuer


@check(
    MUST,
    "rotation.removal",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_client_of_removed_root_is_refused(mesh: MeshUnderTest, server: Workload, outsider: Workload) -> None:
    """Once the old root is no longer announced, a client under it is refused, and one under the new root is served.

    If the mesh supports permissive mutual TLS, data planes still follow a change of policy afterwards.
    """
    old, new = await switched_roots(mesh)

    async def request_under(issuer: Issuer) -> Exchange:
        return await mesh.tls_request(outsider, server, peer(issuer, mesh.identity_of(outsider)))

    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await request_under(old)).answered()
        await mesh.rotate(Rotation.ROOT_DROP)
        within = mesh.documented.rotation.roots_act_within + mesh.tolerance
        refused = await mesh.until_refused("client of the old root", lambda: request_under(old), within)
        expect(refused).refused(mesh.refusals.client, arrived=await server.attempts(refused))
        expect(await request_under(new), "a client of the new root").answered()
    if mesh.claims(Capability.PERMISSIVE_MTLS):
        async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
            follows_within = mesh.time(mesh.documented.follows_within)
            expect(await outsider.get(server), "plaintext that is permitted then", rests_on=follows_within).answered()


@check(
    MUST,
    "rotation.removal",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_server_of_removed_root_is_refused(
    mesh: MeshUnderTest, client: Workload, server: Workload, impostor: Workload
) -> None:
    """Once the old root is no longer announced, a server under it is refused, and one under the new root is reached."""
    old, _ = await switched_roots(mesh)

    async def call() -> Exchange:
        await mesh.impersonate(impostor, peer(old, mesh.identity_of(impostor)))
        return await client.get(impostor)

    control(await call()).answered()
    await mesh.rotate(Rotation.ROOT_DROP)
    within = mesh.documented.rotation.roots_act_within + mesh.tolerance
    refused = await mesh.until_refused("server of the old root", call, within)
    expect(refused).refused(mesh.refusals.server, arrived=await impostor.attempts(refused))
    expect(await client.get(server), "a server of the new root").answered()


async def leaf_and_expiry_above(
    mesh: MeshUnderTest, outsider: Workload, workload: Workload
) -> tuple[x509.Certificate, datetime.datetime]:
    """The leaf that a workload serves, and the earliest expiry of the certificates above it."""
    leaf, *above = await mesh.served_chain(outsider, workload)
    control(len(above), "issuers in the chain").at_least(1)
    return leaf, min(issuer.not_valid_after_utc for issuer in (*above, *mesh.authority.roots))


async def ends_with_its_issuers(
    mesh: MeshUnderTest, client: Workload, workload: Workload, leaf: x509.Certificate, end: datetime.datetime
) -> None:
    """A violation if a leaf is valid for longer than a certificate above it."""
    actual = f"it ends at {leaf.not_valid_after_utc}, an issuer at {end}"
    expect(leaf.not_valid_after_utc <= end, f"the end of {workload}'s certificate").is_true(otherwise=actual)
    control(await client.get(workload), "a call with that certificate").answered()


async def last_leaf(
    mesh: MeshUnderTest, outsider: Workload, workload: Workload
) -> tuple[x509.Certificate, datetime.datetime]:
    """The first leaf that is valid until the current issuer expires, or longer; if none is, the one at that time."""
    _, end = await leaf_and_expiry_above(mesh, outsider, workload)
    left = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
    last, _ = await converge(
        lambda: leaf_and_expiry_above(mesh, outsider, workload),
        lambda seen: seen[0].not_valid_after_utc >= end,
        left,
        every=UNHURRIED,
    )
    return last


@check(MUST, "rotation.lifetime", uses={Capability.LEAF_ROTATION, Capability.ISSUER_ROTATION}, disruptive=True)
async def test_leaf_never_outlives_its_issuer(
    mesh: MeshUnderTest, server: Workload, short_lived: Workload, outsider: Workload, client: Workload
) -> None:
    """No served certificate outlives an issuer above it, neither the present one nor a new one that expires soon.

    The certificates of a server are followed until the new issuer cannot shorten any more of them.
    """
    within = mesh.documented.rotation.issuer_acts_within
    for workload in (server, short_lived):
        await follows(mesh, outsider, workload, within + mesh.tolerance)
        await ends_with_its_issuers(mesh, client, workload, *await leaf_and_expiry_above(mesh, outsider, workload))
    try:
        await mesh.rotate(Rotation.ISSUER, max(ISSUER_LIFETIME, 2 * within))
        for workload in (server, short_lived):
            await follows(mesh, outsider, workload, within + mesh.tolerance)
            await ends_with_its_issuers(mesh, client, workload, *await leaf_and_expiry_above(mesh, outsider, workload))
        await ends_with_its_issuers(mesh, client, server, *await last_leaf(mesh, outsider, server))
    finally:
        await mesh.rotate(Rotation.ISSUER)
