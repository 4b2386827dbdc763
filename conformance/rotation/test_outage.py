"""Outages of the authority, shorter and longer than the life of a certificate."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cryptography import x509

from pytest_meshcheck.suite import (
    MAY,
    MUST,
    Attempt,
    Capability,
    Documented,
    Exchange,
    MeshUnderTest,
    Outage,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    needs,
)

from .authorities import UNHURRIED, leaf_of

RATE = 50
"""Requests per second while the authority is away."""
IN_TIME = "a request before the outage"
"""It waits for the policy on connections, which cannot arrive while the control plane is away as well."""
ENOUGH = 15
OVERDUE = 5
"""Requests of that load after renewal has fallen due."""
SPARE = 3
"""Remaining life of a certificate when a short outage begins, at least, in multiples of the time until renewal."""
LATE = 3
"""Requests after the end of a certificate: a proxy that has seen one handshake fail may turn to plaintext."""
SECOND = 1.0
"""Validity ends with a whole second, which may still count in full."""


@dataclass(frozen=True)
class Shown:
    """The certificate that a data plane shows.

    Attributes:
        leaf: The certificate.
        left: Seconds until it expires, by the observer's clock.
    """

    leaf: x509.Certificate
    left: float


async def shown(mesh: MeshUnderTest, outsider: Workload, workload: Workload) -> Shown:
    """The certificate that a workload's data plane shows now."""
    (leaf, *_), at = await mesh.shown_chain(outsider, workload)
    return Shown(leaf, (leaf.not_valid_after_utc - at).total_seconds())


@asynccontextmanager
async def outlasting_pair(mesh: MeshUnderTest) -> AsyncIterator[tuple[Workload, Workload]]:
    """A client and a server whose certificates last longer than a short outage."""
    lifetime, due = mesh.documented.outage.leaf_lifetime, mesh.documented.outage.renewal_due
    client = WorkloadSpec("blue", "outlasting-client", leaf_lifetime=lifetime, renewed_after=due)
    server = WorkloadSpec("blue", "outlasting-server", leaf_lifetime=lifetime, renewed_after=due, calls=False)
    async with mesh.deploy_together(client, server) as (caller, called):
        yield caller, called


async def first_to_expire(mesh: MeshUnderTest, outsider: Workload, *workloads: Workload) -> Shown:
    """Of the certificates of several workloads, the first to expire, once none of them expires soon."""
    due = mesh.documented.outage.renewal_due

    async def first_to_end() -> Shown:
        return min([await shown(mesh, outsider, workload) for workload in workloads], key=lambda one: one.left)

    first, _ = await converge(first_to_end, lambda one: one.left >= SPARE * due, due + mesh.tolerance, every=UNHURRIED)
    control(first.left, "seconds until a certificate ends").at_least(SPARE * due)
    return first


def outlasts_none(documented: Documented) -> str:
    """Why no outage can be short where certificates end before a failed renewal is repeated."""
    outage = documented.outage
    reason = f"a certificate of the stage ends before a failed renewal is repeated ({outage.source('leaf_lifetime')})"
    return "" if outage.leaf_lifetime else reason


@needs(outlasts_none)
@check(MUST, "rotation.short-outage", proves={Capability.CA_OUTAGE}, uses={Capability.LEAF_ROTATION}, disruptive=True)
async def test_short_outage_of_the_authority_is_harmless(mesh: MeshUnderTest, outsider: Workload) -> None:
    """While the authority is away, and certificates cannot be renewed that are still valid, no request fails.

    The certificates of client and server fall due for renewal meanwhile. Both keep what they have, and replace it once
    the authority is back.
    """
    due, heals = mesh.documented.outage.renewal_due, mesh.documented.outage.heals_within
    async with outlasting_pair(mesh) as (client, server), mesh.policy(*mesh.fresh_connections(server)):
        control(await client.get(server), IN_TIME).answered()
        first = await first_to_expire(mesh, outsider, client, server)
        async with mesh.disruptions.authority_outage(until_followed=False) as outage:
            old = [(workload, (await shown(mesh, outsider, workload)).leaf) for workload in (client, server)]
            async with client.load(server, RATE) as load:
                last = f"{load.request_id}-{round(RATE * due) + OVERDUE}"
                await server.wait_for_attempts(last, patience=due + mesh.tolerance)
            still = [await mesh.handshake(outsider, workload) for workload, _ in old]
            latest = max(handshake.wall for handshake in still)
            control(latest <= first.leaf.not_valid_after_utc.timestamp(), "an outage that is short").is_true(
                otherwise="a certificate has expired meanwhile"
            )
            expect(load.result).lost_nothing(ENOUGH, mesh.tolerance)
            for (workload, leaf), handshake in zip(old, still, strict=True):
                expect(leaf_of(handshake) == leaf, f"the certificate of {workload} at the end").is_true(
                    otherwise="it is not that from before the outage"
                )
        for workload, leaf in old:
            await renewed(mesh, outsider, workload, leaf, heals, outage)
        expect(await client.get(server), "after the outage").answered()


async def renewed(
    mesh: MeshUnderTest, outsider: Workload, server: Workload, old: x509.Certificate, within: float, outage: Outage
) -> None:
    """Wait for another certificate of a workload; a violation unless it comes ``within`` seconds after the outage."""

    async def leaf() -> x509.Certificate:
        return (await shown(mesh, outsider, server)).leaf

    left = max(0.0, within + mesh.tolerance - outage.seconds_since)
    new, _ = await converge(leaf, lambda seen: seen != old, left, every=UNHURRIED)
    mesh.measure(f"new certificate of {server.spec.name} after the outage (s)", round(outage.seconds_since, 3))
    expect(new != old, f"a new certificate within {within:g} s", rests_on=mesh.time(within)).is_true(
        otherwise="it is the same"
    )


@dataclass(frozen=True)
class LongOutage:
    """Observations of an outage of the authority that outlasted a certificate, and of the time after it.

    Attributes:
        late: The first request served of several that began at least a second after the server's certificate expired,
            on new connections; the last one if none was served.
        arrived: The attempts of that request.
        echo: An echo, after expiry, on a stream that was opened before the outage.
        healed: The first request that was served after the outage; if none was, the last one.
        seconds: From the end of the outage until then.
        unrenewed: The workloads, client or server, whose certificate expired and was not replaced in time.
    """

    late: Exchange
    arrived: tuple[Attempt, ...]
    echo: Exchange
    healed: Exchange
    seconds: float
    unrenewed: tuple[str, ...]


async def long_outage(mesh: MeshUnderTest) -> LongOutage:
    """Stop the authority until the certificate of a server has expired, and start it again."""
    client, server = await mesh.workload("client"), await mesh.workload("short_lived")
    outsider = await mesh.workload("outsider")

    async def call() -> Exchange:
        return await client.get(server)

    async with mesh.policy(*mesh.fresh_connections(server)), client.stream(server) as stream:
        control(await call(), IN_TIME).answered()
        async with mesh.disruptions.authority_outage(until_followed=False) as outage:
            before = [(workload, await shown(mesh, outsider, workload)) for workload in (client, server)]
            late = await called_after(before[-1][1], call, mesh.tolerance)
            arrived = await server.attempts(late)
            echo = await stream.echo()
            expired = [(workload, old) for workload, old in before if ends(old) < late.wall]
        heals_within = mesh.documented.outage.heals_within + mesh.tolerance
        remaining = max(0.0, heals_within - outage.seconds_since)
        healed, _ = await converge(call, lambda seen: seen.served, remaining, every=UNHURRIED)
        seconds = outage.seconds_since

        async def unrenewed() -> tuple[str, ...]:
            seen = [(workload, old.leaf, await mesh.handshake(outsider, workload)) for workload, old in expired]
            return tuple(str(workload) for workload, leaf, handshake in seen if leaf_of(handshake) in (None, leaf))

        left, _ = await converge(unrenewed, lambda some: not some, max(0.0, heals_within - seconds), every=UNHURRIED)
    return LongOutage(late, arrived, echo, healed, seconds, left)


def ends(old: Shown) -> float:
    """When a certificate expires, in seconds since 1970."""
    return old.leaf.not_valid_after_utc.timestamp()


async def called_after(old: Shown, call: Callable[[], Awaitable[Exchange]], tolerance: float) -> Exchange:
    """Call on until some calls have begun a second after the certificate's end: the first served one, else the last."""
    within = old.left + SECOND + tolerance
    first, _ = await converge(call, lambda seen: seen.wall > ends(old) + SECOND, within, every=UNHURRIED)
    control(first.wall > ends(old) + SECOND, "a request after the end of the certificate").is_true(
        otherwise="none was made"
    )
    late = [first, *[await call() for _ in range(LATE - 1)]]
    return next((seen for seen in late if seen.served), late[-1])


AFTER_A_LONG_OUTAGE = {Capability.LEAF_ROTATION, Capability.CONNECTION_REUSE}
"""Where connections are kept, a request after the end of a certificate need not be on a new one."""


@check(
    MUST,
    "rotation.long-outage",
    proves={Capability.CA_OUTAGE},
    uses=AFTER_A_LONG_OUTAGE,
    head_start=long_outage,
    disruptive=True,
)
async def test_long_outage_fails_closed(head_start: Awaitable[LongOutage], mesh: MeshUnderTest) -> None:
    """Once an unrenewed certificate has expired, new connections with it are refused, not made in plaintext."""
    seen = await head_start
    expect(seen.late, "with an expired certificate").refused(mesh.refusals.server, arrived=seen.arrived)


@check(
    MUST,
    "rotation.recovery",
    proves={Capability.CA_OUTAGE},
    uses={Capability.LEAF_ROTATION},
    head_start=long_outage,
    disruptive=True,
)
async def test_long_outage_heals(head_start: Awaitable[LongOutage], mesh: MeshUnderTest) -> None:
    """Once the authority is back after a long outage, data planes recover unaided, within the documented time."""
    seen = await head_start
    mesh.measure("served again after at most (s)", round(seen.seconds, 3))
    within = mesh.documented.outage.heals_within
    expect(seen.healed, f"within {within:g} s of the outage", rests_on=mesh.time(within)).answered()
    renewed = expect(not seen.unrenewed, f"new certificates within {within:g} s", rests_on=mesh.time(within))
    renewed.is_true(otherwise=f"{', '.join(seen.unrenewed)} still has the old one")


@check(MAY, "rotation.open-connections", uses={Capability.CA_OUTAGE}, head_start=long_outage, disruptive=True)
async def test_expired_open_connections(head_start: Awaitable[LongOutage], mesh: MeshUnderTest) -> None:
    """The fate of a connection that is open when the certificate of its server expires is recorded."""
    seen = await head_start
    mesh.measure("echo on an open stream", str(seen.echo.ending))
