"""Endpoints without an identity behind a service of the mesh."""

import asyncio
from contextlib import AsyncExitStack

from pytest_meshcheck.suite import (
    MAY,
    SHOULD,
    Answer,
    Attempt,
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
MORE = 12
"""Requests once the stranger is known, all at once.

As they are answered slowly, a balancer that prefers the faster endpoint sends the other one some of them as well.
"""
IN_TURN = 20
"""Sequential requests; a balancer sends at least one of them to the endpoint that serves, even on a slow machine."""
SLOW = Answer(delay=0.1)
UNHURRIED = 0.02
"""Seconds between two requests."""


async def unreadable(stranger: Workload) -> int:
    """How many connections to the stranger began with something else than a request, such as a TLS handshake."""
    return sum(not one.request_id for one in await stranger.attempts_under(""))


async def call_until_routed(
    mesh: MeshUnderTest, client: Workload, member: Workload, stranger: Workload
) -> tuple[str, list[Exchange]]:
    """Call a service until a request is routed to the stranger, or until data planes have to know of it.

    A data plane whose handshake the stranger does not understand may try the request elsewhere; only the stranger
    sees that.

    Returns:
        The fate of that request, empty if there was none; and all of them.
    """
    seen: list[Exchange] = []

    async def call() -> str:
        seen.append(await client.get(member))
        if await stranger.attempts(seen[-1]):
            return "called in plaintext"
        if not seen[-1].served:
            return "refused"
        return "dialled with TLS" if await unreadable(stranger) > before else ""

    before = await unreadable(stranger)
    within = mesh.documented.policies_act_within + mesh.tolerance
    fate, _ = await converge(call, bool, within, every=UNHURRIED)
    return fate, seen


async def with_stranger(
    mesh: MeshUnderTest, client: Workload, member: Workload, stranger: Workload
) -> tuple[Attempt, ...]:
    """Send requests to a service that a stranger joins; returns the attempts that reach the stranger.

    The fate of the first request that is routed to it is recorded.
    """
    fate, seen = await call_until_routed(mesh, client, member, stranger)
    mesh.measure("an endpoint without identity is", fate or "left alone")
    ids = [await member.answers(SLOW) for _ in range(MORE)]
    await asyncio.gather(*(stranger.answers(SLOW, request_id=one) for one in ids))
    seen += await asyncio.gather(*(client.get(member, request_id=one) for one in ids))
    return tuple([attempt for one in seen for attempt in await stranger.attempts(one)])


@check(SHOULD, "mtls.downgrade", proves={Capability.REQUIRED_MTLS}, uses={Capability.MTLS})
async def test_no_silent_downgrade(mesh: MeshUnderTest, client: Workload, outsider: Workload) -> None:
    """Where mutual TLS is required of a service, an endpoint without an identity gets no request of an enrolled client.

    The service has one enrolled endpoint, and one outside of the mesh joins it. Requests that are routed to it are
    refused; plaintext never reaches it. Without the policy requests are routed to it. Where a mesh offers no such
    policy, the check `mtls/downgrade-is-recorded` records their fate.
    """
    async with (
        mesh.deploy(WorkloadSpec("blue", "half-enrolled", ports=PORTS, calls=False)) as deployed,
        AsyncExitStack() as joined,
    ):
        member = deployed.service
        await mesh.shown_chain(outsider, member)
        async with mesh.policy(RequireMutualTls(member)):
            control(await client.get(member), "the enrolled endpoint alone").answered()
            stranger = await joined.enter_async_context(mesh.stranger(member))
            control(await outsider.get(stranger), "the stranger itself").answered()
            arrived = await with_stranger(mesh, client, member, stranger)
            expect(arrived, "at the endpoint without identity").never_arrived()
        fate, _ = await call_until_routed(mesh, client, member, stranger)
        control(bool(fate), "the stranger as an endpoint, without the policy").is_true(
            otherwise="no request was routed to it"
        )


@check(MAY, "mtls.downgrade", uses={Capability.MTLS})
async def test_downgrade_is_recorded(mesh: MeshUnderTest, client: Workload, outsider: Workload) -> None:
    """The fate of requests to an endpoint without an identity, behind a service of the mesh, is recorded.

    Without any policy. Either the endpoint is served in plaintext, or the requests routed to it are refused, or no
    request is routed to it. Only the endpoint that is part of the mesh has to be reached again afterwards.
    """
    async with mesh.deploy(WorkloadSpec("blue", "half-enrolled", ports=PORTS, calls=False)) as deployed:
        member = deployed.service
        await mesh.shown_chain(outsider, member)
        async with mesh.stranger(member) as stranger:
            control(await outsider.get(stranger), "the stranger itself").answered()
            await with_stranger(mesh, client, member, stranger)

            async def reached() -> bool:
                sent = [await client.get(member) for _ in range(IN_TURN)]
                return any([await member.attempts(one) for one in sent])

            # A balancer that prefers the faster endpoint forgets after a while that this one was slow.
            within = mesh.documented.policies_act_within + mesh.tolerance
            still, _ = await converge(reached, bool, within, every=UNHURRIED)
            expect(still, "the enrolled endpoint").is_true(otherwise=f"no request has reached it for {within:g} s")
