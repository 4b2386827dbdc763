"""Workload certificates: renewed in time, without a loss, and never beyond their issuer."""

import datetime
import itertools
from collections.abc import Awaitable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pytest_meshcheck.suite import (
    MAY,
    MUST,
    Capability,
    Load,
    MeshUnderTest,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
)

from .authorities import UNHURRIED, leaf_of, once_reached

RATE = 50
"""Requests per second while something is rotated."""
HANDSHAKES = 20
PLAIN_KEY = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def renewed(
    mesh: MeshUnderTest, outsider: Workload, workload: Workload, old: x509.Certificate, *loads: Load
) -> x509.Certificate:
    """The next certificate of a workload; a violation if it does not come in time, or the old one is shown too long.

    Inconclusive as soon as the machine does not carry one of the loads that are under way.

    How long the old one is shown is compared with its end where handshakes are made, not where they are looked at.
    """
    shown_until = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    async def leaf() -> x509.Certificate | None:
        nonlocal shown_until
        for load in loads:
            await load.keeps_up()
        handshake = await mesh.handshake(outsider, workload)
        shown = leaf_of(handshake)
        if shown and shown.serial_number == old.serial_number:
            shown_until = datetime.datetime.fromtimestamp(handshake.wall, datetime.UTC)
        return shown

    def is_new(shown: x509.Certificate | None) -> bool:
        return shown is not None and shown.serial_number != old.serial_number

    within = mesh.documented.rotation.leaf_renewed_within + mesh.tolerance
    new, _ = await converge(leaf, is_new, within, every=UNHURRIED)
    in_time = mesh.time(within)
    expect(shown_until <= old.not_valid_after_utc, "renewal before expiry", rests_on=in_time).is_true(
        otherwise=f"the old one ended at {old.not_valid_after_utc} and was shown at {shown_until}"
    )
    expect(is_new(new), f"a new certificate within {within:g} s", rests_on=in_time).is_true(
        otherwise="it is the same" if new else "none is shown"
    )
    return new or old


async def four_leaves(mesh: MeshUnderTest) -> list[x509.Certificate]:
    """The certificates of one workload through three renewals."""
    short_lived, outsider = await mesh.workload("short_lived"), await mesh.workload("outsider")
    leaves = [(await mesh.served_chain(outsider, short_lived))[0]]
    for _round in range(3):
        leaves.append(await renewed(mesh, outsider, short_lived, leaves[-1]))
    return leaves


@check(MUST, "rotation.leaf", proves={Capability.LEAF_ROTATION}, head_start=four_leaves)
async def test_leaf_is_renewed_before_expiry(
    mesh: MeshUnderTest, short_lived: Workload, client: Workload, head_start: Awaitable[list[x509.Certificate]]
) -> None:
    """The certificate that a workload serves is replaced before it expires, three times in a row, without a restart.

    Then it calls a workload that has just started, and is called by it: both ways on a new connection, whose peer
    verifies a renewed certificate.
    """
    serials = {leaf.serial_number for leaf in await head_start}
    expect(len(serials), "different serial numbers").equals(4)
    async with mesh.deploy(WorkloadSpec("blue", "newcomer"), reached=False) as newcomer:
        control(await once_reached(mesh, client, newcomer.service), "another client").answered()
        control(await once_reached(mesh, newcomer.service, client), "another server").answered()
        expect(await once_reached(mesh, short_lived, newcomer.service), "as a client").answered()
        expect(await once_reached(mesh, newcomer.service, short_lived), "as a server").answered()


@check(MAY, "rotation.key", uses={Capability.LEAF_ROTATION}, head_start=four_leaves)
async def test_key_is_renewed(
    mesh: MeshUnderTest, short_lived: Workload, client: Workload, head_start: Awaitable[list[x509.Certificate]]
) -> None:
    """Records whether a renewed certificate has a new private key."""
    keys = {leaf.public_key().public_bytes(*PLAIN_KEY) for leaf in await head_start}
    mesh.measure("private keys of four certificates in a row", len(keys))
    control(await client.get(short_lived), "a call afterwards").answered()


@check(MUST, "rotation.hitless", uses={Capability.LEAF_ROTATION})
async def test_leaf_renewal_loses_nothing(
    mesh: MeshUnderTest, client: Workload, short_lived: Workload, outsider: Workload
) -> None:
    """Through two renewals under load no request is lost, fails or arrives twice, and an open stream lives on.

    Where the mesh can bound the reuse of connections, each request is made on a new one, so that every request begins
    with a handshake.
    """
    async with mesh.policy(*mesh.fresh_connections(short_lived)), client.stream(short_lived) as stream:
        leaf, *_ = await mesh.served_chain(outsider, short_lived)
        async with client.load(short_lived, RATE) as load:
            for _round in range(2):
                leaf = await renewed(mesh, outsider, short_lived, leaf, load)
        expect(await stream.echo(), "the stream that was open all the while").answered()
    renewal = mesh.time(mesh.documented.rotation.leaf_renewed_within)
    expect(load.result, rests_on=renewal).lost_nothing(RATE // 2, mesh.tolerance)


async def leaves_in_a_row(mesh: MeshUnderTest) -> list[x509.Certificate]:
    """What new handshakes show, one after the other, across a renewal."""
    short_lived, outsider = await mesh.workload("short_lived"), await mesh.workload("outsider")
    old, *_ = await mesh.served_chain(outsider, short_lived)
    seen = [old, await renewed(mesh, outsider, short_lived, old)]
    for _ in range(HANDSHAKES):
        leaf, *_ = await mesh.served_chain(outsider, short_lived)
        seen.append(leaf)
    return seen


@check(MUST, "rotation.new-handshakes", proves={Capability.LEAF_ROTATION}, head_start=leaves_in_a_row)
async def test_new_handshakes_use_the_new_certificate(
    mesh: MeshUnderTest, short_lived: Workload, client: Workload, head_start: Awaitable[list[x509.Certificate]]
) -> None:
    """Once a renewed certificate was served, no new handshake shows an older one."""
    seen = await head_start
    stale = [new for old, new in itertools.pairwise(seen) if new.not_valid_after_utc < old.not_valid_after_utc]
    expect(len(stale), f"of {len(seen)} certificates in a row those that are older than the one before").equals(0)
    control(await client.get(short_lived), "a call afterwards").answered()
