"""The table of protocols: what it says of each is so, and nothing but the table has to be told of another one."""

import importlib
from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.protocols import FACTS

E, P = m.Ending, m.Protocol


def seen(protocol: m.Protocol, ending: m.Ending = E.ANSWERED, **fields: Any) -> m.Exchange:
    return m.Exchange(request_id="r", protocol=protocol, ending=ending, started=1.0, ended=2.0, wall=0.0, **fields)


def test_every_protocol_is_in_the_table() -> None:
    assert list(FACTS) == list(P)


@pytest.mark.parametrize("protocol", P)
def test_the_modules_of_a_protocol_do_what_the_table_says(protocol: m.Protocol) -> None:
    client = importlib.import_module(f"pytest_meshcheck.probe.client.{protocol.facts.client}")
    assert callable(client.speak)
    assert hasattr(client, "open_stream") == protocol.facts.streams
    if protocol.facts.server is not None:
        assert callable(importlib.import_module(f"pytest_meshcheck.probe.server.{protocol.facts.server}").serve)


@pytest.mark.parametrize(
    ("exchange", "code", "served"),
    [
        (seen(P.HTTP1, status=200), 200, True),
        (seen(P.HTTP1, status=204), 204, False),
        (seen(P.HTTP1, E.TRUNCATED, status=200), 200, False),
        (seen(P.H2C, status=200), 200, True),
        (seen(P.H2C, status=200, grpc_status=0), 200, True),
        (seen(P.H2C, status=200, grpc_status=14), 200, False),
        (seen(P.GRPC, grpc_status=0), 0, True),
        (seen(P.GRPC, status=503, grpc_status=14), 14, False),
        (seen(P.WEBSOCKET, status=101), 101, True),
        (seen(P.WEBSOCKET, status=200), 200, False),
        (seen(P.TCP), None, True),
        (seen(P.TCP, E.RESET), None, False),
        (seen(P.TLS), None, True),
    ],
)
def test_an_exchange_was_served_in_the_terms_of_its_protocol(
    exchange: m.Exchange, code: int | None, *, served: bool
) -> None:
    assert (exchange.code, exchange.served) == (code, served)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_served_is_named_with_what_is(pair: Any, unused: tuple[str, int]) -> None:
    refused = await pair.server.call(m.Serve("server-1", (m.Listen(port="odd", address=unused, protocol=P.TLS),)))
    assert refused == m.Failed("port 'odd': tls is not served; these are: http/1.1, h2c, grpc, websocket, tcp")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_has_no_streams_is_named_with_what_has(pair: Any) -> None:
    refused = await pair.client.call(m.OpenStream(pair.request("no-stream")))
    assert refused == m.Failed("http/1.1 has no streams; these have: grpc, websocket, tcp")
