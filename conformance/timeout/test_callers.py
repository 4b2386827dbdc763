"""The limits that callers ask for themselves: a gRPC deadline, and the headers of proxies."""

import re
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    Exchange,
    MeshUnderTest,
    Protocol,
    Time,
    Timeout,
    Workload,
    check,
    control,
    expect,
)

from .limits import comes_late

LIMIT = 0.1
"""Seconds."""
LATE = 0.1
"""Seconds after the limit at which an answer would come."""
TICK = 0.01
"""Seconds by which a data plane may round a deadline down."""
LONG = 60.0
"""Seconds of a limit that is not reached before the client gives up."""

DEADLINES = {
    # id: (limit of the policy in seconds or None, the caller's deadline in milliseconds)
    "shorter": (LONG, 200),
    "longer": (LIMIT, 60_000),
    "alone": (None, 200),
}

NUMBER = r"\d{1,8}"
UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
"""Units of grpc-timeout, in seconds (gRPC over HTTP/2)."""

GRPC_TIMEOUTS = {
    # id: values of grpc-timeout, one per header line
    "zero": ("0m",),
    "a-nanosecond": ("1n",),
    "a-millisecond": ("1m",),
    "longest": ("99999999H",),
    "too-many-digits": ("123456789S",),
    "no-unit": ("60",),
    "unknown-unit": ("60x",),
    "negative": ("-60S",),
    "fraction": ("60.5S",),
    "no-number": ("S",),
    "empty": ("",),
    "repeated": ("60S", "60S"),
}

BEYOND_LIMITS = ("longest",)
"""The valid values that exceed every limit of a policy."""

INTERNAL = ("x-forwarded-for", "10.0.0.1")
"""An address of a private network, which a proxy may trust."""
MORE_TIME = {
    # id: headers by which a client asks for more time
    "envoy": (
        ("x-envoy-upstream-rq-timeout-ms", "60000"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "60000"),
        ("x-envoy-expected-rq-timeout-ms", "60000"),
    ),
    "linkerd": (("l5d-timeout", "60s"), ("l5d-request-timeout", "60s"), ("l5d-response-timeout", "60s")),
    "grpc-timeout": (("grpc-timeout", "60S"),),
}
MORE_TIME["envoy-as-internal"] = (*MORE_TIME["envoy"], INTERNAL)


async def call(client: Workload, server: Workload, *timeouts: str, **request: Any) -> Exchange:
    """A unary gRPC call with an empty message, made over HTTP/2 so that the client itself keeps no deadline."""
    headers = [("content-type", "application/grpc"), ("te", "trailers"), *(("grpc-timeout", one) for one in timeouts)]
    message = Body(text="\0" * 5)
    return await client.post(
        server, message, "grpc", protocol=Protocol.H2C, chunked=True, headers=tuple(headers), **request
    )


def seconds_of(deadline: str | None) -> float:
    """A value of grpc-timeout in seconds; infinite if it is not one."""
    valid = re.fullmatch(rf"({NUMBER})([{''.join(UNITS)}])", deadline or "")
    return float(valid[1]) * UNITS[valid[2]] if valid else float("inf")


@pytest.mark.parametrize("case", DEADLINES)
@check(MUST, "timeout.caller-deadline", uses={Capability.TIMEOUT_GRPC})
async def test_caller_deadline(mesh: MeshUnderTest, client: Workload, server: Workload, case: str) -> None:
    """The application learns a gRPC caller's deadline, and the call is cut at the limit of the policy.

    The deadline is at most as long as the caller's. It is shorter than the caller's and the limit by no more than the
    time that a prompt call takes. A call is cut at the caller's deadline only where the mesh documents that: with a
    deadline that is shorter or longer than the limit, and with no policy at all. The client itself keeps no deadline.
    """
    policy, deadline = DEADLINES[case]
    limit = min(policy or LONG, deadline / 1000 if mesh.documented.timeout.caller_deadline else LONG)
    late = Answer(delay=min(limit, deadline / 1000) + LATE)
    request_id = await server.answers(late)
    async with mesh.policy(Timeout(server, LIMIT)):
        cut = await call(client, server, request_id=await server.answers(Answer(delay=LIMIT + LATE)))
        control(cut.served, "whether a late answer is served to a call without a deadline").equals(False)
    async with mesh.policy(*([] if policy is None else [Timeout(server, policy)])):
        prompt = await call(client, server, f"{deadline}m")
        answer = await call(client, server, f"{deadline}m", request_id=request_id)
        control(await server.wait_for_attempts(request_id, patience=mesh.tolerance)).attempted(1)
    (arrived,) = control(await server.attempts(prompt), "a prompt call").attempted(1)
    stated, least = seconds_of(arrived.header("grpc-timeout")), min(policy or LONG, deadline / 1000) - prompt.seconds
    expect(stated, "the deadline at the application").at_most(deadline / 1000)
    expect(stated, "the deadline at the application").at_least(least - TICK)
    stall = mesh.time(client.patience) if limit > late.delay else Time(LATE, answer.seconds)
    expect(answer.served, "whether the answer is served", rests_on=stall).equals(limit > late.delay)


@pytest.mark.parametrize("value", GRPC_TIMEOUTS)
@check(MUST, "timeout.grpc-timeout-header", uses={Capability.TIMEOUT_GRPC})
async def test_grpc_timeout_header(mesh: MeshUnderTest, client: Workload, server: Workload, value: str) -> None:
    """Whatever a caller writes into ``grpc-timeout``, the limit of the policy holds, and later calls are served.

    A call that has all the time in the world is served if its answer is prompt.
    """

    async def ask() -> Exchange:
        request_id = await server.answers(Answer(delay=LIMIT + LATE))
        return await call(client, server, *GRPC_TIMEOUTS[value], request_id=request_id)

    async with mesh.policy(Timeout(server, LIMIT)):
        cut, stall = await comes_late(ask, LATE)
    if value in BEYOND_LIMITS:
        async with mesh.policy(Timeout(server, LONG)):
            prompt = await call(client, server, *GRPC_TIMEOUTS[value])
        expect(prompt, "a prompt answer").answered_grpc(0)
    after = await call(client, server)
    expect(cut.served, "whether a late answer is served", rests_on=stall).equals(False)
    expect(after, "the next call").answered_grpc(0)


@pytest.mark.parametrize("headers", MORE_TIME)
@check(MUST, "timeout.client-headers", uses={Capability.TIMEOUT})
async def test_client_cannot_lengthen(mesh: MeshUnderTest, client: Workload, server: Workload, headers: str) -> None:
    """Headers of a client never lengthen the limit of the policy."""

    async def ask() -> Exchange:
        request_id = await server.answers(Answer(delay=LIMIT + LATE))
        return await client.get(server, request_id=request_id, headers=MORE_TIME[headers])

    control(await client.get(server, headers=MORE_TIME[headers])).answered()
    async with mesh.policy(Timeout(server, LIMIT)):
        cut, stall = await comes_late(ask, LATE)
    expect(cut, rests_on=stall).answered(mesh.documented.timeout.status)
