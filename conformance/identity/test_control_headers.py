"""Headers that control data planes, in requests of callers who must not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Attempt,
    Capability,
    Exchange,
    MeshUnderTest,
    Mode,
    MutualTls,
    Workload,
    check,
    control,
    expect,
)

Headers = Mapping[str, str]

UNAVAILABLE = 14
SLOW = 0.1
"""Seconds until the answer to a request whose headers ask for a far shorter limit."""

OF_A_PRIVATE_NETWORK = {"x-forwarded-for": "10.0.0.1"}
"""By this header proxies recognise callers of their own network, whom they may obey."""


@dataclass(frozen=True)
class Control:
    """What a caller asks of data planes.

    Attributes:
        port: The port that it calls.
        answer: What each attempt is answered.
        headers: The headers that ask for it; they may name another workload.
    """

    port: str
    answer: Answer
    headers: Callable[[Workload], Headers]


CONTROLS: Mapping[str, Control] = {
    # id: what the headers ask of a data plane
    "retries": Control(
        "http",
        Answer(status=503),
        lambda _: {
            "x-envoy-retry-on": "5xx",
            "x-envoy-max-retries": "4",
            "l5d-retry-http": "5xx",
            "l5d-retry-limit": "4",
        },
    ),
    "grpc-retries": Control(
        "grpc",
        Answer(grpc_status=UNAVAILABLE, trailers_only=True),
        lambda _: {
            "x-envoy-retry-grpc-on": "unavailable",
            "x-envoy-max-retries": "4",
            "l5d-retry-grpc": "unavailable",
            "l5d-retry-limit": "4",
        },
    ),
    "limit": Control(
        "http",
        Answer(delay=SLOW),
        lambda _: {
            "x-envoy-upstream-rq-timeout-ms": "20",
            "x-envoy-upstream-rq-per-try-timeout-ms": "10",
            "l5d-timeout": "20ms",
            "l5d-request-timeout": "20ms",
            "l5d-response-timeout": "20ms",
        },
    ),
    "destination": Control(
        "http",
        Answer(),
        lambda other: {
            "x-envoy-original-path": "/forged",
            "x-envoy-original-host": other.spec.authority,
            "x-envoy-decorator-operation": "forged",
            "x-original-url": "/forged",
            "x-rewrite-url": "/forged",
            "x-forwarded-host": other.spec.authority,
            "l5d-dst-override": f"{other.spec.authority}:80",
            "l5d-dst-canonical": f"{other.spec.authority}:80",
            "l5d-require-id": other.spec.authority,
        },
    ),
}


def outcome(exchange: Exchange, attempts: tuple[Attempt, ...]) -> tuple[object, ...]:
    """The part of a request that a control header could change: its end, its attempts, and the server of each."""
    return exchange.ending, exchange.code, [(attempt.path, attempt.authority) for attempt in attempts]


@pytest.mark.parametrize("who", ["enrolled", "outsider"])
@pytest.mark.parametrize("asked", CONTROLS)
@check(MUST, "identity.control-headers", uses={Capability.MTLS, Capability.PERMISSIVE_MTLS})
async def test_internal_control_headers_are_not_obeyed(
    mesh: MeshUnderTest,
    server: Workload,
    server_in_green: Workload,
    client: Workload,
    outsider: Workload,
    asked: str,
    who: str,
) -> None:
    """Headers that ask a data plane for retries, a limit or another destination change nothing if a client sends them.

    The request ends as it does without them: with the same status, after as many attempts, each at the same server
    under the same path and host. Both an enrolled client and an outsider under permissive mutual TLS send them, with an
    address of a private network in x-forwarded-for. Headers that applications may set, by the mesh's documentation, are
    left out and recorded.
    """
    await mesh.shown_chain(outsider, server)
    caller, asks = {"enrolled": client, "outsider": outsider}[who], CONTROLS[asked]
    obeyed = mesh.documented.identity.obeyed if who == "enrolled" else frozenset()
    headers = {**asks.headers(server_in_green), **OF_A_PRIVATE_NETWORK}
    if documented := sorted(obeyed & headers.keys()):
        mesh.measure("set by applications, as documented", ", ".join(documented))
    ends = []
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        for sent in ({}, {name: value for name, value in headers.items() if name not in obeyed}):
            request_id = await server.answers(asks.answer, repeat=True)
            end = await caller.get(server, asks.port, request_id=request_id, headers=tuple(sent.items()))
            ends.append(outcome(end, await server.attempts(end)))
    control(len(ends[0][-1]), "attempts without these headers").at_least(1)
    expect(ends[1], "the end of the request").equals(ends[0])
