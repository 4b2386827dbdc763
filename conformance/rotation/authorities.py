"""Peers under an authority's issuers, and waiting until data planes follow a change of it."""

import datetime
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cryptography import x509

from pytest_meshcheck.suite import (
    Credentials,
    Exchange,
    Inconclusive,
    Issuer,
    Load,
    MeshUnderTest,
    Rotation,
    Validity,
    Workload,
    control,
    converge,
    expect,
    is_signed_by,
    parsed_chain,
)

UNHURRIED = 0.05
"""Seconds between two polls; on a cluster each of them is a load on the API server."""
HOUR = datetime.timedelta(hours=1)


def peer(issuer: Issuer, identity: str) -> Credentials:
    """A certificate under one of the authority's issuers."""
    return issuer.leaf([identity], Validity.of(HOUR))


def leaf_of(handshake: Exchange) -> x509.Certificate | None:
    """The certificate that a data plane showed in a handshake, if any."""
    return parsed_chain(handshake.tls.chain)[0] if handshake.tls else None


def leads_to(chain: Sequence[x509.Certificate], issuer: x509.Certificate) -> bool:
    """Whether an issuer signed the leaf of a chain, and its certificate is in the chain.

    One of two certificates of the same key signs as well as the other, so that the signature alone does not tell.
    """
    return issuer in chain and is_signed_by(chain[0], issuer)


async def follows(
    mesh: MeshUnderTest, outsider: Workload, workload: Workload, within: float, *loads: Load, elapsed: float = 0.0
) -> float:
    """Seconds until the leaf that a workload serves chains to the present issuer; a violation if it does not.

    Inconclusive as soon as the machine does not carry one of the loads that are under way.
    ``elapsed``: seconds of ``within`` that have passed before.
    """
    wanted = mesh.authority.issuer.certificate

    async def issuer_seen() -> bool:
        for load in loads:
            await load.keeps_up()
        shown = (await mesh.handshake(outsider, workload)).tls
        return shown is not None and leads_to(parsed_chain(shown.chain), wanted)

    seen, seconds = await converge(issuer_seen, bool, max(0.0, within - elapsed), every=UNHURRIED)
    expect(seen, f"{workload} under the new issuer within {within:g} s", rests_on=mesh.time(within)).is_true(
        otherwise="it shows a leaf under the old one, or none"
    )
    return elapsed + seconds


async def once_reached(mesh: MeshUnderTest, caller: Workload, newcomer: Workload) -> Exchange:
    """Call a new workload until it answers or the documented time is over; returns the last exchange."""
    within = mesh.documented.follows_within + mesh.tolerance
    answer, _ = await converge(lambda: caller.get(newcomer), lambda seen: seen.served, within, every=UNHURRIED)
    return answer


async def shows_present_issuer(mesh: MeshUnderTest, outsider: Workload, workload: Workload) -> None:
    """Control: a workload shows a leaf of the present issuer, which another process of the run may just have made."""
    issuer, within = mesh.authority.issuer.certificate, mesh.documented.rotation.leaf_renewed_within + mesh.tolerance

    async def is_shown() -> bool:
        return leads_to(await mesh.served_chain(outsider, workload), issuer)

    shown, _ = await converge(is_shown, bool, within, every=UNHURRIED)
    control(shown, "the present issuer before").is_true(otherwise="it is another one")


@asynccontextmanager
async def two_roots(mesh: MeshUnderTest) -> AsyncIterator[dict[str, Issuer]]:
    """While the block runs two roots are announced; an issuer under each, by its age."""
    await mesh.rotate(Rotation.ROOT_ADD)
    old, new = mesh.authority.issuer, mesh.authority.next_issuer
    if new is None:
        raise Inconclusive("a second root was announced, and nothing is issued under it")
    try:
        yield {"old": old, "new": new}
    finally:
        await mesh.rotate(Rotation.ROOT_DROP)
