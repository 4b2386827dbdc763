"""Callers that the network has not authenticated, or may no longer authenticate."""

from contextlib import AsyncExitStack
from dataclasses import replace

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Exchange,
    MeshUnderTest,
    NetworkPolicy,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
)

from ..calls import PATIENCE, calls, made
from .decisions import UNLISTED, all_are_refused

NEWCOMER = WorkloadSpec("blue", "newcomer", calls=False)
"""Nobody waits until it reaches the others, as it must not."""
REGISTERED_WITHIN = 60.0
"""Seconds until an authority that is back has registered a workload, and the workload is authenticated."""
FORGOTTEN_WITHIN = 60.0
"""Seconds until a caller whose registration was deleted is authenticated no longer: agents of SPIRE ask for changes
every 5 s, https://spiffe.io/docs/latest/deploying/spire_agent/#agent-configuration-file."""
AGAIN = 5
"""Rounds of calls that have to be refused: agents of Cilium give a handshake up after 5 s (``connect-timeout``)."""


@check(MUST, "network.authentication", proves={Capability.MUTUAL_AUTHENTICATION}, disruptive=True)
async def test_unauthenticated_callers_are_dropped(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A caller that a network policy lists, but that has started while the authority is down, reaches no port.

    Nobody can have authenticated it. Once the authority is back, it is served. Whether two workloads that have been
    authenticated before still reach each other meanwhile is recorded.
    """
    patience, listed = PATIENCE * mesh.scale, replace(NEWCOMER, namespace=client.namespace)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(mesh.policy(NetworkPolicy(server, (client, listed), tuple(UNLISTED))))
        control(await client.get(server, patience=patience), "an authenticated caller").answered()
        async with mesh.disruptions.authority_outage():
            newcomer = (await stack.enter_async_context(mesh.deploy(NEWCOMER))).service
            for _ in range(AGAIN):
                await all_are_refused(mesh, await made(mesh, calls((newcomer,), (server,), *UNLISTED)))
            earlier = await client.get(server, patience=patience)
        mesh.measure("a pair that was authenticated before", "served" if earlier.served else str(earlier.ending))

        async def call() -> Exchange:
            return await newcomer.get(server, patience=patience)

        back, seconds = await converge(call, lambda one: one.served, REGISTERED_WITHIN * mesh.scale)
        control(back, "the same caller once the authority is back").answered()
        mesh.measure("authenticated after (s)", round(seconds, 1))


@check(MUST, "network.deregistration", proves={Capability.MUTUAL_AUTHENTICATION}, disruptive=True)
async def test_deregistered_callers_are_dropped(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A caller that was authenticated, and whose registration is deleted, is soon refused, and stays refused.

    Once it is registered again, it is served. How long it was served after the deletion is recorded.
    """
    everything, patience = calls((client,), (server,), *UNLISTED), PATIENCE * mesh.scale

    async def call() -> Exchange:
        return await client.get(server, patience=patience)

    async with mesh.policy(NetworkPolicy(server, (client,), tuple(UNLISTED))):
        for listed, seen in (await made(mesh, everything)).items():
            control(seen, f"{listed}, authenticated").answered()
        async with mesh.disruptions.deregistration(client):
            await mesh.until_refused("a deregistered caller", call, FORGOTTEN_WITHIN * mesh.scale)
            for _ in range(AGAIN):
                await all_are_refused(mesh, await made(mesh, everything))
        back, seconds = await converge(call, lambda one: one.served, REGISTERED_WITHIN * mesh.scale)
        control(back, "the same caller once it is registered again").answered()
        mesh.measure("authenticated after (s)", round(seconds, 1))
