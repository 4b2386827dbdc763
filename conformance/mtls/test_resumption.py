"""TLS sessions that are resumed after the peer's certificate has become invalid."""

import datetime
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Credentials,
    Exchange,
    Inconclusive,
    MeshUnderTest,
    Mode,
    MutualTls,
    Rotation,
    Validity,
    Workload,
    check,
    control,
    expect,
    slow,
)

from .peers import HOUR

BRIEF = 5.0
"""Seconds until a certificate expires with which a session was established."""


async def under_the_first_root(mesh: MeshUnderTest, identity: str) -> Credentials:
    """A certificate under the first of two roots, while leaves are issued under the second."""
    for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH):
        await mesh.rotate(step)
    if (old := mesh.authority.previous) is None:
        raise Inconclusive("the root was replaced, and there is no issuer under the first one")
    return old.leaf([identity], Validity.of(HOUR))


async def remove_the_first_root(mesh: MeshUnderTest) -> float:
    """Announce the second root alone; the seconds until that holds everywhere."""
    await mesh.rotate(Rotation.ROOT_DROP)
    return mesh.documented.rotation.roots_act_within


async def about_to_expire(mesh: MeshUnderTest, identity: str) -> Credentials:
    """A certificate that expires soon."""
    now = datetime.datetime.now(datetime.UTC)
    return mesh.authority.issuer.leaf([identity], Validity(now - HOUR, now + datetime.timedelta(seconds=BRIEF)))


async def let_it_expire(_mesh: MeshUnderTest) -> float:
    """The seconds until it has expired, by any clock."""
    return 2 * BRIEF


@dataclass(frozen=True)
class Loss:
    """How a certificate becomes invalid.

    Attributes:
        mint: Makes one that is still valid.
        lose: Makes it invalid; returns the seconds until that holds everywhere.
    """

    mint: Callable[[MeshUnderTest, str], Awaitable[Credentials]]
    lose: Callable[[MeshUnderTest], Awaitable[float]]


LOSSES: Mapping[str, Loss] = {
    "root-removed": Loss(under_the_first_root, remove_the_first_root),
    "certificate-expired": Loss(about_to_expire, let_it_expire),
}


@pytest.mark.parametrize("loss", ["root-removed", pytest.param("certificate-expired", marks=slow)])
@check(
    MUST,
    "mtls.resumption",
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS, Capability.ROOT_ROTATION},
    disruptive=True,
)
async def test_resumption_does_not_outlive_trust(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, loss: str
) -> None:
    """A TLS session from before a peer's root was removed, or its certificate expired, does not let that peer in.

    The peer has a session of its own with the server, and resumes it where the server lets it. Once its certificate is
    refused in a new handshake, the peer is refused with that session as well. Whether sessions are resumed at all is
    recorded.
    """
    own = await LOSSES[loss].mint(mesh, mesh.identity_of(outsider))
    session = secrets.token_hex(6)

    async def request(session: str = "") -> Exchange:
        return await mesh.tls_request(outsider, server, own, session=session)

    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        for _ in range(2):
            before = control(await request(session), "while the certificate is good").answered()
        resumed = before.tls is not None and before.tls.resumed
        mesh.measure("sessions are resumed", "yes" if resumed else "no")
        within = await LOSSES[loss].lose(mesh) + mesh.tolerance
        refused = await mesh.until_refused("a new handshake", request, within)
        control(refused, "without a session").refused(mesh.refusals.client)
        late = await request(session)
        arrived = await server.attempts(late)
        expect(late, "with a session from before").refused(mesh.refusals.client, arrived=arrived)
