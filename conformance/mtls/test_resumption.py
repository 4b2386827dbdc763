"""TLS sessions that are resumed after the peer's certificate has lost its worth."""

import secrets

from pytest_meshcheck.suite import (
    MUST,
    Capability,
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
)

from .peers import HOUR


@check(
    MUST,
    "mtls.resumption",
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS, Capability.ROOT_ROTATION},
    disruptive=True,
)
async def test_resumption_does_not_outlive_trust(mesh: MeshUnderTest, server: Workload, outsider: Workload) -> None:
    """A TLS session from before a root was removed does not let a peer in whose certificate chains to that root.

    The peer has a session of its own with the server, and resumes it where the server lets it. Once the root is no
    longer announced, the peer is refused with that session as it is without. Whether sessions are resumed at all is
    recorded.
    """
    for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH):
        await mesh.rotate(step)
    if (old := mesh.authority.previous) is None:
        raise Inconclusive("the root was replaced, and there is no issuer under the first one")
    own = old.leaf([mesh.identity_of(outsider)], Validity.of(HOUR))
    session = secrets.token_hex(6)

    async def request(session: str = "") -> Exchange:
        return await mesh.tls_request(outsider, server, own, session=session)

    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        for _ in range(2):
            before = control(await request(session), "before the root is removed").answered()
        resumed = before.tls is not None and before.tls.resumed
        mesh.measure("sessions are resumed", "yes" if resumed else "no")
        await mesh.rotate(Rotation.ROOT_DROP)
        within = mesh.documented.rotation.roots_act_within + mesh.tolerance
        refused = await mesh.until_refused("client of the removed root", request, within)
        control(refused, "without a session").refused(mesh.refusals.client)
        late = await request(session)
        expect(late, "with a session from before").refused(mesh.refusals.client)
        expect(await server.attempts(late), "with a session from before").never_arrived()
