"""Servers that make a request of their own before they answer, from probe to probe."""

from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from tests.unit.test_probe.conftest import free_address

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAILING = {
    # protocol: an answer that fails, and how its client sees it: status and status of gRPC
    m.Protocol.HTTP1: (m.Answer(status=503), (503, None)),
    m.Protocol.H2C: (m.Answer(status=503), (503, None)),
    m.Protocol.GRPC: (m.Answer(grpc_status=14, trailers_only=True), (None, 14)),
}
SERVED = {m.Protocol.HTTP1: (200, None), m.Protocol.H2C: (200, None), m.Protocol.GRPC: (None, 0)}


def onward(pair: Any, answer: m.Answer, protocol: m.Protocol, to: str) -> m.Answer:
    port = "grpc" if protocol is m.Protocol.GRPC else "http"
    return m.Answer(
        status=answer.status,
        grpc_status=answer.grpc_status,
        trailers_only=answer.trailers_only,
        onward=pair.request(to, port, protocol=protocol),
    )


async def seen(pair: Any, protocol: m.Protocol, request_id: str) -> tuple[int | None, int | None]:
    exchange = await pair.send(request_id, "grpc" if protocol is m.Protocol.GRPC else "http", protocol=protocol)
    return exchange.status, exchange.grpc_status


@pytest.mark.parametrize("protocol", FAILING)
async def test_a_request_onward_that_fails_is_answered_with_the_failure(pair: Any, protocol: m.Protocol) -> None:
    failing, status = FAILING[protocol]
    await pair.script(f"{protocol}-last", failing)
    await pair.script(f"{protocol}-first", onward(pair, failing, protocol, f"{protocol}-last"))
    assert await seen(pair, protocol, f"{protocol}-first") == status
    assert len(await pair.ledger(f"{protocol}-last")) == 1


@pytest.mark.parametrize("protocol", FAILING)
async def test_a_request_onward_that_is_served_is_answered_well(pair: Any, protocol: m.Protocol) -> None:
    failing, _ = FAILING[protocol]
    await pair.script(f"{protocol}-sound", onward(pair, failing, protocol, f"{protocol}-end"))
    assert await seen(pair, protocol, f"{protocol}-sound") == SERVED[protocol]
    assert len(await pair.ledger(f"{protocol}-end")) == 1


async def test_a_request_onward_to_nobody_fails(pair: Any) -> None:
    answer = m.Answer(
        status=503, onward=m.Request(request_id="nobody-last", address=free_address(), authority="nobody")
    )
    await pair.script("nobody-first", answer)
    assert await seen(pair, m.Protocol.HTTP1, "nobody-first") == (503, None)
