"""A workload terminates under load: an endpoint of a service, and a client."""

from contextlib import AsyncExitStack

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    more_arrive,
    slow,
)

RATE = 40
"""Requests per second."""
MEETING = 8
"""Requests at each endpoint before one of them terminates, and at the remaining one afterwards."""
SURELY = 24
"""Requests at one of two endpoints: a balancer that still chooses the other one sends it some meanwhile."""
CHOSEN_WITHIN = 20.0
"""Seconds until a balancer has chosen an endpoint: one that prefers the fastest may stay with another for a while."""
POOL = WorkloadSpec("blue", "rolled", calls=False, grace=60.0)
CALLER = WorkloadSpec("blue", "signing-off", grace=60.0)
BEYOND_DRAINS = 12 * RATE
"""Requests that take longer than data planes drain by default: 5 s in Istio."""
LEAVING = [
    # port, requests at the remaining endpoint after the other has begun to terminate
    pytest.param("http", MEETING, id="http"),
    pytest.param("grpc", MEETING, id="grpc"),
    pytest.param("http", BEYOND_DRAINS, id="http-12-s", marks=slow),
    pytest.param("grpc", BEYOND_DRAINS, id="grpc-12-s", marks=slow),
]


@pytest.mark.parametrize(("port", "calls"), LEAVING)
@check(MUST, "lifecycle.rollout")
async def test_leaving_endpoint_loses_nothing(mesh: MeshUnderTest, client: Workload, port: str, calls: int) -> None:
    """While one of two endpoints of a service terminates, no request is lost, failed or executed twice.

    As in each step of a rolling update, the endpoint drains, and its application keeps serving for the grace period.
    Within the time in which data planes follow, none of them chooses it any more. The long form lasts beyond the time
    for which data planes drain by default.
    """
    async with mesh.deploy(POOL, replicas=2) as pool, AsyncExitStack() as until_joined:
        staying, leaving = pool.endpoints
        async with client.load(staying, RATE, port) as load:
            load.servers.append(leaving)
            for endpoint in pool.endpoints:
                await more_arrive(endpoint, load, number=MEETING, within=CHOSEN_WITHIN * mesh.scale)
            control(len(await leaving.attempts_of(load)), "requests at the endpoint before it terminates").at_least(1)
            await until_joined.enter_async_context(mesh.termination(leaving))
            await more_arrive(staying, load, number=calls, within=2 * calls / RATE + 2 * mesh.tolerance)

            async def chosen_again() -> int:
                before = len(await leaving.attempts_of(load))
                await more_arrive(staying, load, number=SURELY, within=2 * SURELY / RATE + 2 * mesh.tolerance)
                return len(await leaving.attempts_of(load)) - before

            within = mesh.documented.policies_act_within + mesh.tolerance
            again, seconds = await converge(chosen_again, lambda number: number == 0, within)
            mesh.measure("leaving endpoint chosen for (s)", round(seconds, 3))
        expect(load.result).lost_nothing(MEETING + calls, mesh.tolerance)
        what = f"requests at the leaving endpoint after {within:g} s, of {SURELY} at the other"
        expect(again, what, rests_on=mesh.time(within)).equals(0)


@pytest.mark.parametrize(
    "calls", [pytest.param(MEETING, id="at-once"), pytest.param(BEYOND_DRAINS, id="12-s", marks=slow)]
)
@pytest.mark.parametrize("port", ["http", "grpc"])
@check(MUST, "lifecycle.shutdown", uses={Capability.MTLS})
async def test_terminating_client_loses_nothing(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, port: str, calls: int
) -> None:
    """The requests of a terminating client are served throughout its grace period, as shutdown hooks need."""
    async with mesh.deploy(CALLER) as deployed, AsyncExitStack() as until_joined:
        leaving = deployed.service
        await mesh.served_chain(outsider, leaving)  # without a data plane there is nothing to judge
        async with leaving.load(server, RATE, port) as load:
            await more_arrive(server, load, number=MEETING, within=2 * mesh.tolerance)
            await until_joined.enter_async_context(mesh.termination(leaving))
            await more_arrive(server, load, number=calls, within=2 * calls / RATE + 2 * mesh.tolerance)
        expect(load.result).lost_nothing(MEETING + calls, mesh.tolerance)
