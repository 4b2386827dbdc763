"""Endpoints without an identity behind a service of the mesh."""

from pytest_meshcheck.suite import (
    MAY,
    SHOULD,
    Capability,
    Exchange,
    MeshUnderTest,
    Port,
    Protocol,
    RequireMutualTls,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
)

PORTS = (Port("http", Protocol.HTTP1),)
MORE = 6
"""Requests once the stranger is known: a balancer would lead some of them to it."""
UNHURRIED = 0.02
"""Seconds between two requests."""


async def meets_stranger(mesh: MeshUnderTest, client: Workload, member: Workload, stranger: Workload) -> str:
    """Call a service until its stranger matters: served in plaintext, or refused; empty if it never does."""
    seen: list[Exchange] = []

    async def call() -> str:
        seen.append(await client.get(member))
        if await stranger.attempts(seen[-1]):
            return "plaintext"
        return "" if seen[-1].served else "refused"

    within = mesh.documented.policies_act_within + mesh.tolerance
    became, _ = await converge(call, bool, within, every=UNHURRIED)
    return became


@check(SHOULD, "mtls.downgrade", proves={Capability.REQUIRED_MTLS}, uses={Capability.MTLS})
async def test_no_silent_downgrade(mesh: MeshUnderTest, client: Workload, outsider: Workload) -> None:
    """Where mutual TLS is required of a service, an endpoint without an identity gets no request of an enrolled client.

    The service has one enrolled endpoint, and another one outside of the mesh joins it. Requests that are led there are
    refused; plaintext never reaches it. Where a mesh offers no such policy, the check
    `mtls/downgrade-is-recorded` says what becomes of them.
    """
    async with mesh.deploy(WorkloadSpec("blue", "half-enrolled", ports=PORTS, calls=False)) as deployed:
        member = deployed.service
        await mesh.shown_chain(outsider, member)
        async with mesh.policy(RequireMutualTls(member)), mesh.stranger(member) as stranger:
            control(await outsider.get(stranger), "the stranger itself").answered()
            mesh.measure("an endpoint without identity is", await meets_stranger(mesh, client, member, stranger))
            for _ in range(MORE):
                seen = await client.get(member)
                expect(await stranger.attempts(seen), "at the endpoint without identity").never_arrived()


@check(MAY, "mtls.downgrade", uses={Capability.MTLS})
async def test_downgrade_is_recorded(mesh: MeshUnderTest, client: Workload, outsider: Workload) -> None:
    """What becomes of requests to an endpoint without an identity, behind a service of the mesh, is recorded.

    Without any policy. Either the endpoint is served in plaintext, or the requests that are led there are refused, or
    none are. Only the endpoint that is part of the mesh has to be reached all the while.
    """
    async with mesh.deploy(WorkloadSpec("blue", "half-enrolled", ports=PORTS, calls=False)) as deployed:
        member = deployed.service
        await mesh.shown_chain(outsider, member)
        async with mesh.stranger(member) as stranger:
            control(await outsider.get(stranger), "the stranger itself").answered()
            became = await meets_stranger(mesh, client, member, stranger)
            mesh.measure("an endpoint without identity is", became or "left alone")
            seen = [await client.get(member) for _ in range(MORE)]
            reached = [one for one in seen if await member.attempts(one)]
            expect(bool(reached), "the enrolled endpoint").is_true(otherwise="no request reaches it any more")
