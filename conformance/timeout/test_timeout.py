"""How long a client waits: limits that cut, limits that are off, and what both ends learn of it."""

import asyncio
from collections.abc import Awaitable, Sequence

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Documented,
    Ending,
    Exchange,
    MeshUnderTest,
    Retry,
    Timeout,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    needs,
)

from .limits import PENDING, begin_within, comes_late, limit_acts

LIMITS = (0.05, 0.2, 0.5, 2.0)
"""Seconds."""

PROTOCOLS = {
    # id: (port, protocol if not the port's own)
    "http": ("http", {}),
    "h2c": ("http", {"protocol": "h2c"}),
    "grpc": ("grpc", {}),
}

LATE = 0.1
"""Seconds after its limit at which an answer comes, so that one that gets through shows that the limit did not hold."""

TICK = 0.01
"""Seconds by which a limit may seem short: timers are as coarse as the event loop that they run in."""

CALLS, WAVES = 10, 5
"""Parallel calls per wave, and waves: if two timers of a data plane race, one may win for a whole wave."""

PATIENT = 15.5
"""Just above 15 s, a proxy's own limit unless it is turned off."""
LONG_LIMITED = WorkloadSpec("blue", "long-limited", calls=False)
RETRIED = WorkloadSpec("green", "retried", calls=False)
SENT = ({"method": "POST"}, {"port": "grpc"})
BESIDE = ("nothing", "retries")
"""The policies of a service whose limit is unset."""
Patient = Sequence[tuple[Exchange, int]]
"""Requests that waited, and how often each has arrived."""


@pytest.mark.parametrize("limit", LIMITS)
@check(MUST, "timeout.request", proves={Capability.TIMEOUT})
async def test_slow_answer_is_cut(mesh: MeshUnderTest, client: Workload, server: Workload, limit: float) -> None:
    """An answer within the limit passes; a later one is replaced by the documented status once the limit is over."""
    late = Answer(delay=limit + LATE)
    async with mesh.policy(Timeout(server, limit)):
        control(await client.get(server)).answered()

        async def ask() -> Exchange:
            return await client.get(server, request_id=await server.answers(late))

        cut, stall = await comes_late(ask, LATE)
        expect(cut, rests_on=stall).answered(mesh.documented.timeout.status)
        expect(cut).took(limit - TICK, limit + mesh.tolerance)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@check(MUST, "timeout.cancellation", uses={Capability.TIMEOUT})
async def test_server_sees_the_cancellation(
    mesh: MeshUnderTest, client: Workload, server: Workload, protocol: str
) -> None:
    """When a request is cut, the server learns of it at once, so that it stops working on it."""
    limit = 0.2
    port, how = PROTOCOLS[protocol]
    control(await client.get(server, port, **how)).answered()
    request_id = await server.answers(Answer(delay=10 * mesh.tolerance))
    async with mesh.policy(Timeout(server, limit)):
        cut = await client.get(server, port, request_id=request_id, **how)
        attempts = await server.wait_for_attempts(request_id, ended=True, patience=mesh.tolerance)
        control(cut.ending, "the end of the request, which is not the client's own").equals(Ending.ANSWERED)
        control(attempts).attempted(1)
        (worked,) = expect(attempts, rests_on=mesh.time(mesh.tolerance)).cancelled()
        expect(worked.seconds or 0, "seconds from its arrival to the cancellation", rests_on=mesh.time(limit)).at_most(
            limit + mesh.tolerance
        )


@check(MUST, "timeout.all-attempts", proves={Capability.TIMEOUT}, uses={Capability.RETRY})
async def test_covers_all_attempts(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """The limit of a request holds for the first attempt, all retries and the pauses between them together.

    It is over while the second attempt goes on, or before, so that a third one comes late by the pauses at least.
    """
    limit, pace, retries = 0.5, 0.26, 12
    request_id = await server.answers(Answer(status=503, delay=pace), repeat=True)
    async with mesh.policy(Retry(server, retries, statuses={503})), mesh.policy(Timeout(server, limit)):
        cut = await client.get(server, request_id=request_id)
        attempts = await server.wait_for_attempts(request_id, retries + 1, patience=PENDING)
    control(len(attempts), "attempts, so that there was something to bound").at_least(2)
    expect(cut, rests_on=mesh.time(retries * pace)).answered(mesh.documented.timeout.status)
    expect(cut).took(limit - TICK, limit + mesh.tolerance)
    begin_within(mesh, limit, attempts)


async def patient_request(mesh: MeshUnderTest, server: Workload, limit: float) -> Exchange:
    """A request that is answered after 15.5 seconds, under a limit of so many seconds."""
    client, patience = await mesh.workload("client"), PATIENT + 10 * mesh.tolerance
    async with mesh.policy(Timeout(server, limit)):
        request_id = await server.answers(Answer(delay=PATIENT))
        return await client.get(server, request_id=request_id, patience=patience)


async def unlimited_request(mesh: MeshUnderTest) -> Exchange:
    """Such a request under a limit of 0, to a server without other callers."""
    return await patient_request(mesh, await mesh.workload("second_client"), 0)


@check(MUST, "timeout.zero", uses={Capability.TIMEOUT}, head_start=unlimited_request)
async def test_zero_disables(mesh: MeshUnderTest, head_start: Awaitable[Exchange]) -> None:
    """A limit of 0 means no limit, above all not a proxy's own 15 seconds."""
    answer = await head_start
    await limit_acts(mesh, await mesh.workload("client"), await mesh.workload("second_client"))
    expect(answer).answered()
    control(answer.seconds, "seconds").at_least(PATIENT - TICK)


async def request_within_a_long_limit(mesh: MeshUnderTest) -> Exchange:
    """Such a request under a limit of 31 seconds, to a server of its own."""
    async with mesh.deploy(LONG_LIMITED) as deployed:
        return await patient_request(mesh, deployed.service, 2 * PATIENT)


@check(MUST, "timeout.request", uses={Capability.TIMEOUT}, head_start=request_within_a_long_limit)
async def test_long_limit_is_kept(mesh: MeshUnderTest, head_start: Awaitable[Exchange]) -> None:
    """An answer within a limit of 31 seconds passes, also after a proxy's own 15 seconds."""
    answer = await head_start
    await limit_acts(mesh, await mesh.workload("client"), await mesh.workload("server"))
    expect(answer).answered()
    control(answer.seconds, "seconds").at_least(PATIENT - TICK)


async def patient_requests(mesh: MeshUnderTest, beside: str) -> Patient:
    """Requests that are answered after 15.5 seconds, between the twins in green or to a service that has retries."""
    client = await mesh.workload("client_in_green")
    if beside == "nothing":
        return await patiently(mesh, client, await mesh.workload("server_in_green"))
    async with mesh.deploy(RETRIED) as retried, mesh.policy(Retry(retried.service, 1, statuses={503})):
        return await patiently(mesh, client, retried.service)


async def patiently(mesh: MeshUnderTest, client: Workload, server: Workload) -> Patient:
    """A POST and a gRPC call that are answered after 15.5 seconds, with the number of times that they arrived."""
    patience = PATIENT + 10 * mesh.tolerance
    ids = [await server.answers(Answer(delay=PATIENT), repeat=True) for _ in SENT]
    sending = (
        client.get(server, request_id=number, patience=patience, **how) for number, how in zip(ids, SENT, strict=True)
    )
    return [(one, len(await server.attempts(one))) for one in await asyncio.gather(*sending)]


def limited(documented: Documented) -> str:
    """Why a patient request is cut without a timeout policy, if the mesh documents that."""
    limit = documented.timeout.default
    if limit is None or limit > PATIENT:
        return ""
    return f"a limit of {limit:g} s is documented ({documented.timeout.source('default')})"


def unlimited(documented: Documented) -> str:
    """Why there is no limit of the mesh's own, if it documents none."""
    return "no limit is documented" if documented.timeout.default is None else ""


@needs(limited)
@pytest.mark.parametrize("beside", BESIDE)
@check(MUST, "timeout.default", uses={Capability.TIMEOUT}, head_start=patient_requests)
async def test_unset_means_no_limit(mesh: MeshUnderTest, head_start: Awaitable[Patient], beside: str) -> None:
    """Without a timeout policy there is no limit, above all not a proxy's own 15 seconds, and nothing is sent again.

    Neither without any policy nor beside one of retries.
    """
    seen = await head_start
    await limit_acts(mesh, await mesh.workload("client_in_green"), await mesh.workload("server_in_green"))
    for answer, attempts in seen:
        expect(answer, f"after {PATIENT:g} s").answered()
        expect(attempts, "attempts of a request that is not answered yet").equals(1)
        control(answer.seconds, "seconds").at_least(PATIENT - TICK)


@needs(unlimited)
@pytest.mark.parametrize("port", ["http", "grpc"])
@check(MUST, "timeout.default", uses={Capability.TIMEOUT})
async def test_default_limit_is_the_documented_one(
    mesh: MeshUnderTest, client: Workload, server: Workload, port: str
) -> None:
    """Without a timeout policy, a request is cut by the mesh's documented limit, if there is one."""
    await limit_acts(mesh, client, server)
    limit = mesh.documented.timeout.default or 0.0
    late = Answer(delay=limit + 2 * mesh.tolerance)
    cut = await client.get(server, port, request_id=await server.answers(late), patience=limit + 10 * mesh.tolerance)
    expect(cut, f"the documented limit of {limit:g} s").took(limit - TICK, limit + mesh.tolerance)


@check(MUST, "timeout.grpc", proves={Capability.TIMEOUT_GRPC})
async def test_grpc_deadline_exceeded(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A gRPC call that is cut ends with DEADLINE_EXCEEDED, not with UNAVAILABLE and not with an HTTP error."""
    control(await client.get(server, "grpc")).answered()
    async with mesh.policy(Timeout(server, 0.2)):
        for _ in range(WAVES):
            ids = [await server.answers(Answer(delay=10 * mesh.tolerance)) for _ in range(CALLS)]
            for cut in await asyncio.gather(*(client.get(server, "grpc", request_id=number) for number in ids)):
                expect(cut, rests_on=mesh.time(10 * mesh.tolerance)).answered_grpc(mesh.documented.timeout.grpc_status)
                expect(cut).took(0.2 - TICK, 0.2 + mesh.tolerance)
