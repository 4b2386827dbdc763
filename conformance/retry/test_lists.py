"""The conditions of a retry policy: combined, absent, by gRPC status, and against the client's headers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    Capability,
    Exchange,
    Failure,
    MeshUnderTest,
    Protocol,
    Retry,
    Workload,
    check,
    control,
    expect,
)

from .listed import GRPC, listable, listing, proven_after

STATUSES = frozenset({429, 503})


@dataclass(frozen=True)
class First:
    """How a first attempt fails.

    Attributes:
        failure: The failure that a policy lists.
        answer: The server's answer; None: the port is closed for a moment.
        port: The port that it is sent to.
        request: More fields of the request.
    """

    failure: Failure
    answer: Answer | None
    port: str = "http"
    request: Mapping[str, Any] = field(default_factory=dict)


FIRST = {
    "status": First(Failure.STATUS, Answer(status=503)),
    "other-status": First(Failure.STATUS, Answer(status=429)),
    "connection-refused": First(Failure.CONNECT, None),
    "reset": First(Failure.RESET, Answer(behaviour=Behaviour.RESET)),
    "refused-stream": First(
        Failure.REFUSED_STREAM, Answer(behaviour=Behaviour.REFUSE_STREAM), "grpc", {"protocol": Protocol.H2C}
    ),
    "grpc-status": First(Failure.GRPC_UNAVAILABLE, Answer(grpc_status=14, trailers_only=True), "grpc"),
}
COMBINED = frozenset(case.failure for case in FIRST.values()) - {Failure.STATUS}
OUTAGE = 0.2
"""Seconds for which the port is closed."""
ENOUGH = 60
"""Retries that last longer than the outage, whatever the pauses between them."""

INTERNAL = ("x-forwarded-for", "10.0.0.1")
"""An address of a private network, which a proxy may trust."""
MORE_RETRIES = {
    # id: headers by which a client asks for more retries
    "envoy": (
        ("x-envoy-max-retries", "5"),
        ("x-envoy-retry-on", "5xx,retriable-status-codes"),
        ("x-envoy-retriable-status-codes", "503"),
    ),
    "linkerd": (("l5d-retry-limit", "5"), ("l5d-retry-http", "5xx"), ("l5d-retry-timeout", "1s")),
}
MORE_RETRIES["envoy-as-internal"] = (*MORE_RETRIES["envoy"], INTERNAL)


async def fails_once(client: Workload, server: Workload, case: First) -> Exchange:
    """A request whose first attempt fails, and whose next one is served."""
    if case.answer is None:
        await server.closes(case.port, OUTAGE)
        return await client.get(server, case.port, **case.request)
    return await client.get(server, case.port, request_id=await server.answers(case.answer), **case.request)


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=[proven_after(first.failure), listable(first.failure)]) for name, first in FIRST.items()],
)
@check(MUST, "retry.combined", proves={Capability.RETRY, Capability.RETRY_GRPC})
async def test_conditions_combine(mesh: MeshUnderTest, client: Workload, plain_server: Workload, case: str) -> None:
    """A policy that lists statuses, gRPC statuses and broken connections together retries after each of them."""
    first = FIRST[case]
    listed = {"statuses": STATUSES, "on": COMBINED & mesh.documented.retry.failures}
    async with mesh.policy(Retry(plain_server, 0)):
        control((await fails_once(client, plain_server, first)).served, "a failure without retries").equals(False)
    async with mesh.policy(Retry(plain_server, 1 if first.answer else ENOUGH, **listed)):
        retried = await fails_once(client, plain_server, first)
    expect(retried, case, rests_on=None if first.answer else mesh.time(OUTAGE)).answered()
    expect(await plain_server.attempts(retried), case).attempted(2 if first.answer else 1)
    if first.answer is None:
        control(retried.seconds, "seconds, of which the port was closed for some").at_least(OUTAGE / 2)


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=listable(first.failure)) for name, first in FIRST.items() if first.answer]
)
@check(MUST, "retry.zero", uses={Capability.RETRY})
async def test_zero_disables(mesh: MeshUnderTest, client: Workload, plain_server: Workload, case: str) -> None:
    """A limit of 0 disables retries, including the default retries of the mesh."""
    first = FIRST[case]
    listed = listing(first.failure, STATUSES)
    async with mesh.policy(Retry(plain_server, 1, **listed)):
        control(await plain_server.attempts(await fails_once(client, plain_server, first)), "with a retry").attempted(2)
    async with mesh.policy(Retry(plain_server, 0, **listed)):
        failed = await fails_once(client, plain_server, first)
    expect(await plain_server.attempts(failed), case).attempted(1)
    expect(failed.served, "whether it is served").equals(False)


@pytest.mark.parametrize("failure", [pytest.param(failure, marks=listable(failure)) for failure in GRPC], ids=str)
@check(MUST, "retry.grpc-statuses", proves={Capability.RETRY_GRPC})
async def test_grpc_status_conditions(
    mesh: MeshUnderTest, client: Workload, plain_server: Workload, failure: Failure
) -> None:
    """A unary call is retried after a gRPC status that is listed, and after no other; the last status is passed on.

    Statuses that the mesh documents to be covered by any retry policy are left out.
    """
    first, last = (Answer(grpc_status=GRPC[failure], grpc_message=word, trailers_only=True) for word in ("one", "two"))
    async with mesh.policy(Retry(plain_server, 1, on={failure})):
        listed = await client.get(plain_server, "grpc", request_id=await plain_server.answers(first, last))
        others = {
            other: await client.get(
                plain_server,
                "grpc",
                request_id=await plain_server.answers(Answer(grpc_status=code, trailers_only=True)),
            )
            for other, code in GRPC.items()
            if other not in {failure, *mesh.documented.retry.always_retried}
        }
    expect(await plain_server.attempts(listed), f"{failure}, listed").attempted(2)
    expect(listed).answered_grpc(GRPC[failure])
    expect(listed.grpc_message, "the message with the status").equals("two")
    for other, call in others.items():
        expect(await plain_server.attempts(call), f"{other}, not listed").attempted(1)


@pytest.mark.parametrize("headers", MORE_RETRIES)
@check(MUST, "retry.client-headers", uses={Capability.RETRY})
async def test_client_cannot_raise_the_limit(
    mesh: MeshUnderTest, client: Workload, server: Workload, headers: str
) -> None:
    """Headers of a client add no attempt to the policy's, and none without a policy."""
    asked = {"headers": MORE_RETRIES[headers]}
    by_default = mesh.documented.retry.attempts_by_default("GET", Failure.STATUS, 503)
    async with mesh.policy(Retry(server, 1, statuses={503})):
        plain = await client.get(server, request_id=await server.answers(503, repeat=True))
        control(await server.attempts(plain), "without such headers").attempted(2)
        limited = await client.get(server, request_id=await server.answers(503, repeat=True), **asked)
    unlimited = await client.get(server, request_id=await server.answers(503, repeat=True), **asked)
    expect(await server.attempts(limited), "under a policy of one retry").attempted(2)
    expect(await server.attempts(unlimited), "under no policy").attempted(by_default)
