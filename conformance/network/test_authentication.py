"""Callers that the network has not authenticated."""

from contextlib import AsyncExitStack

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Exchange,
    MeshUnderTest,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
)

from .calls import PATIENCE, UNLISTED, all_are_refused, calls, made

REGISTERED_WITHIN = 60.0
"""Seconds until an authority that is back has registered a workload, and the workload is authenticated."""


@check(MUST, "network.authentication", proves={Capability.MUTUAL_AUTHENTICATION}, disruptive=True)
async def test_unauthenticated_callers_are_dropped(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A workload that starts while the authority is down reaches nobody, on any port; it is served once that is back.

    Nobody can have authenticated it before. Whether a pair that was authenticated earlier goes on is recorded.
    """
    patience = PATIENCE * mesh.scale
    control(await client.get(server, patience=patience), "an authenticated caller").answered()
    async with AsyncExitStack() as stack:
        async with mesh.disruptions.authority_outage():
            newcomer = (await stack.enter_async_context(mesh.deploy(WorkloadSpec("blue", "newcomer")))).service
            seen = await made(mesh, calls((newcomer,), (server,), *UNLISTED))
            earlier = await client.get(server, patience=patience)
            await all_are_refused(mesh, seen)
        mesh.measure("a pair that was authenticated earlier", "served" if earlier.served else str(earlier.ending))

        async def call() -> Exchange:
            return await newcomer.get(server, patience=patience)

        back, seconds = await converge(call, lambda one: one.served, REGISTERED_WITHIN * mesh.scale)
        control(back, "the same workload once the authority is back").answered()
        mesh.measure("authenticated after (s)", round(seconds, 1))
