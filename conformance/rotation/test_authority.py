"""The authority above the workloads: a new issuer, a second root, and the end of the first."""

import datetime
import itertools
import time

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Credentials,
    Ending,
    Exchange,
    Issuer,
    Load,
    MeshUnderTest,
    Mode,
    MutualTls,
    Rotation,
    Validity,
    Workload,
    check,
    control,
    converge,
    expect,
)

RATE = 100
"""Requests per second while something is rotated."""
SERVED = 20
"""Requests one after the other that have to be served under each issuer, beside the load."""
WHILE_ROOTS_CHANGE = 30
"""Requests per second over each protocol while workloads may be restarted, which takes the machine's time as well."""
MEETING = 5
"""Requests of a load that have to arrive after each step of such a change."""
ROUNDS = 3
QUICK = 5.0
"""Seconds from a change above the leaves until they follow, up to which it is made several times in a row."""
PORTS = ("http", "grpc", "tcp")
UNHURRIED = 0.05
"""Seconds between two looks: where each passes the API server of a cluster, more would load it."""
HOUR = datetime.timedelta(hours=1)
ISSUER_LIFETIME = 30.0
"""Seconds, at least; leaves have to have time to follow."""


def peer(issuer: Issuer | None, identity: str) -> Credentials:
    """A certificate under one of the authority's issuers."""
    if issuer is None:
        raise RuntimeError("there was no rotation yet: rotate first")
    return issuer.leaf([identity], Validity.of(HOUR))


def rounds(within: float) -> range:
    """The changes to make, one after the other: each but the first begins where certificates were changed before."""
    return range(ROUNDS if within <= QUICK else 1)


async def follows(mesh: MeshUnderTest, outsider: Workload, workload: Workload, within: float) -> float:
    """Seconds until the leaf that a workload serves chains to the present issuer; a violation where it does not."""
    wanted = mesh.authority.issuer.certificate

    async def issuer_seen() -> bool:
        return wanted in await mesh.served_chain(outsider, workload)

    seen, seconds = await converge(issuer_seen, bool, within, every=UNHURRIED)
    expect(seen, f"{workload} under the new issuer within {within:g} s", rests_on=mesh.time(within)).holds(
        "its leaf chains to the old one"
    )
    return seconds


async def goes_on(server: Workload, load: Load, within: float) -> None:
    """Have a load meet what was just done; where its requests no longer arrive, its outcome shows that."""

    async def arrived() -> int:
        return len(await server.saw_of(load))

    before = await arrived()
    await converge(arrived, lambda number: number >= before + MEETING, within, every=UNHURRIED)


async def served_beside(load: Load, client: Workload, server: Workload) -> list[Exchange]:
    """Requests one after the other while a load is under way; inconclusive as soon as the machine does not carry it."""
    exchanges = []
    for _ in range(SERVED):
        await load.keeps_up(client)
        exchanges.append(await client.get(server))
    return exchanges


@check(MUST, "rotation.issuer", proves={Capability.ISSUER_ROTATION}, disruptive=True)
async def test_issuer_changes_under_load(
    mesh: MeshUnderTest, client: Workload, server: Workload, renewing: Workload, outsider: Workload
) -> None:
    """With a new intermediate under the same root, leaves follow within the documented time, and no request is lost."""
    within = mesh.documented.rotation.issuer_acts_within + mesh.tolerance
    served: dict[int, list[Exchange]] = {}
    async with mesh.policy(*mesh.fresh_connections(server)), client.load(server, RATE) as load:
        for round_ in rounds(mesh.documented.rotation.issuer_acts_within):
            await mesh.rotate(Rotation.ISSUER)
            seconds = [await follows(mesh, outsider, workload, within) for workload in (server, renewing)]
            mesh.measure(f"issuer {round_ + 1} in leaves after (s)", round(max(seconds), 3))
            served[round_ + 1] = await served_beside(load, client, server)
    control(load.result).sent_at_least(SERVED)
    control(load.result).carried(mesh.tolerance)
    for issuer, exchanges in served.items():
        for exchange in exchanges:
            expect(exchange, f"under issuer {issuer}", rests_on=mesh.time(within)).answered()
    expect(load.result, rests_on=mesh.time(within)).clean()


@check(MUST, "rotation.root", proves={Capability.ROOT_ROTATION}, disruptive=True)
async def test_whole_root_change_loses_nothing(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While a root is replaced by another, no request over HTTP or gRPC is lost, failed or doubled.

    A second root is announced, certificates are issued under it, and then the first one goes. Where the mesh documents
    that data planes learn of roots when they start only, client and server are restarted at both ends of that, one new
    instance beside the old, and the load goes on.
    """
    within = mesh.documented.rotation.roots_act_within + mesh.tolerance
    async with (
        mesh.policy(*mesh.fresh_connections(server)),
        client.load(server, WHILE_ROOTS_CHANGE) as http,
        client.load(server, WHILE_ROOTS_CHANGE, "grpc") as grpc,
    ):
        for round_ in rounds(mesh.documented.rotation.roots_act_within):
            begun = time.monotonic()
            for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH, Rotation.ROOT_DROP):
                await mesh.rotate(step)
                for under_way in (http, grpc):
                    await under_way.keeps_up(client)
                for workload in (client, server) if step is Rotation.ROOT_SWITCH else ():
                    await follows(mesh, outsider, workload, within)
                await goes_on(server, http, mesh.tolerance)
            mesh.measure(f"root {round_ + 1} took (s)", round(time.monotonic() - begun, 3))
    for port, load in {"http": http.result, "grpc": grpc.result}.items():
        mesh.measure(f"{port}: requests", load.sent)
        control(load, port).sent_at_least(SERVED)
        control(load, port).carried(mesh.tolerance)
        expect(load, port, rests_on=mesh.time(within)).clean()


@check(
    MUST,
    "rotation.overlap",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_roots_overlap(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, impostor: Workload
) -> None:
    """While both roots are announced, peers under either are accepted, in both directions, over HTTP, gRPC and TCP.

    An old client meets a new server and a new client an old server, before and after leaves are issued anew; servers
    on those ports on which the mesh has an impostor be met.
    """
    await mesh.rotate(Rotation.ROOT_ADD)
    old, new = mesh.authority.issuer, mesh.authority.next_issuer
    try:
        for step in ("issued under the old root", "issued under the new root"):
            async with mesh.policy(*mesh.fresh_connections(server)):
                for port, (issuer, age) in itertools.product(PORTS, ((old, "old"), (new, "new"))):
                    expect(await client.get(server, port), f"{port}, {step}").answered()
                    caller = peer(issuer, mesh.identity_of(outsider))
                    expect(await mesh.tls_request(outsider, server, caller, port), f"{port}, {age} client").answered()
                    if mesh.meets_impostors(port):
                        await mesh.impersonate(impostor, peer(issuer, mesh.identity_of(impostor)), port)
                        expect(await client.get(impostor, port), f"{port}, {age} server").answered()
            if mesh.authority.issuer is old:
                await mesh.rotate(Rotation.ROOT_SWITCH)
                await follows(mesh, outsider, server, mesh.documented.rotation.roots_act_within + mesh.tolerance)
    finally:
        await mesh.rotate(Rotation.ROOT_DROP)


@check(
    MUST,
    "rotation.removal",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_old_root_is_refused_after_removal(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, impostor: Workload
) -> None:
    """Once the old root is no longer announced, a peer under it is refused, as client and as server.

    Peers under the new root are served.
    """
    for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH):
        await mesh.rotate(step)
    old, new = mesh.authority.previous, mesh.authority.issuer
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await mesh.tls_request(outsider, server, peer(old, mesh.identity_of(outsider)))).answered()
        await mesh.impersonate(impostor, peer(old, mesh.identity_of(impostor)))
        control(await client.get(impostor)).answered()
        await mesh.rotate(Rotation.ROOT_DROP)
        within = mesh.documented.rotation.roots_act_within + mesh.tolerance

        async def knock_under_the_old_root() -> Ending:
            return (await mesh.tls_request(outsider, server, peer(old, mesh.identity_of(outsider)))).ending

        _, seconds = await converge(
            knock_under_the_old_root, lambda seen: seen is not Ending.ANSWERED, within, every=UNHURRIED
        )
        mesh.measure("old root refused after (s)", round(seconds, 3))
        refused = await mesh.tls_request(outsider, server, peer(old, mesh.identity_of(outsider)))
        expect(refused).refused(mesh.documented.mtls.peer_refused_as)
        expect(await server.saw(refused)).nothing()

        async def call_under_the_old_root() -> Exchange:
            await mesh.impersonate(impostor, peer(old, mesh.identity_of(impostor)))
            return await client.get(impostor)

        await converge(call_under_the_old_root, lambda seen: seen.status != 200, within, every=UNHURRIED)
        unreached = await call_under_the_old_root()
        expect(unreached).refused(mesh.documented.mtls.peer_refused_as, mesh.documented.mtls.upstream_refused_statuses)
        expect(await mesh.tls_request(outsider, server, peer(new, mesh.identity_of(outsider)))).answered()
        expect(await client.get(server)).answered()


async def ends_with_its_issuers(mesh: MeshUnderTest, client: Workload, workload: Workload, outsider: Workload) -> None:
    """A violation where the leaf under the present issuer is valid for longer than anything above it."""
    await follows(mesh, outsider, workload, mesh.documented.rotation.issuer_acts_within + mesh.tolerance)
    leaf, *above = await mesh.served_chain(outsider, workload)
    control(len(above), "issuers in the chain").at_least(1)
    limit = min(issuer.not_valid_after_utc for issuer in (*above, *mesh.authority.roots))
    actual = f"it ends at {leaf.not_valid_after_utc}, an issuer at {limit}"
    expect(leaf.not_valid_after_utc <= limit, f"the end of {workload}'s certificate").holds(actual)
    control(await client.get(workload), "a call with that certificate").answered()


@check(MUST, "rotation.lifetime", uses={Capability.LEAF_ROTATION, Capability.ISSUER_ROTATION}, disruptive=True)
async def test_leaf_never_outlives_its_issuer(
    mesh: MeshUnderTest, server: Workload, renewing: Workload, outsider: Workload, client: Workload
) -> None:
    """No served certificate is valid for longer than any issuer above it: of now, and of a new one that ends soon.

    > The certificate validity period includes the current time. [for every certificate of the path]
    """
    for workload in (server, renewing):
        await ends_with_its_issuers(mesh, client, workload, outsider)
    try:
        await mesh.rotate(Rotation.ISSUER, max(ISSUER_LIFETIME, 2 * mesh.documented.rotation.issuer_acts_within))
        for workload in (server, renewing):
            await ends_with_its_issuers(mesh, client, workload, outsider)
    finally:
        await mesh.rotate(Rotation.ISSUER)
