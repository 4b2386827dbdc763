"""The wire recorder."""

import asyncio
import socket
from typing import Any

import pytest

from pytest_meshcheck.probe.capture import recorders, relay_recorder
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.errors import ProbeFault

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def record(pair: Any, name: str, listen: tuple[str, int], forward: tuple[str, int]) -> None:
    assert await pair.client.call(m.Record(name, listen, forward)) == m.Done()


async def seen(pair: Any, name: str, *needles: str) -> m.CaptureResult:
    reply = await pair.client.call(m.LookFor(name, needles))
    assert isinstance(reply, m.CaptureReply), reply
    return reply.captured


async def test_a_canary_is_found_in_both_directions_and_no_other(pair: Any, unused: tuple[str, int]) -> None:
    await record(pair, "both", unused, pair.ports["http"])
    await pair.script("both", m.Answer(body=m.Body(text="canary-of-answer")))
    exchange = await pair.send("both", unused, headers=(("x-canary", "canary-of-request"),))
    captured = await seen(pair, "both", "canary-of-request", "canary-of-answer", "canary-of-nobody")
    assert exchange.status == 200
    assert captured.found == ("canary-of-request", "canary-of-answer")
    assert (captured.connections, captured.excerpt[:14]) == (1, b"GET / HTTP/1.1")
    assert b"canary-of-answer" in captured.excerpt
    assert await pair.client.call(m.StopRecording("both")) == m.Done()
    assert (await pair.send("stopped", unused)).ending is m.Ending.CONNECT_REFUSED


async def test_a_canary_that_is_split_over_two_writes_is_found(pair: Any, unused: tuple[str, int]) -> None:
    await record(pair, "split", unused, pair.ports["tcp"])
    reader, writer = await asyncio.open_connection(*unused)
    writer.write(b"hello cana")
    assert await reader.readexactly(10) == b"hello cana"
    writer.write(b"ry-17 and more")
    assert await reader.readexactly(14) == b"ry-17 and more"
    writer.close()
    captured = await seen(pair, "split", "canary-17")
    assert (captured.found, captured.bytes_to_server, captured.bytes_to_client) == (("canary-17",), 24, 24)
    await pair.client.call(m.StopRecording("split"))


async def test_half_close_and_reset_are_passed_on(pair: Any, unused: tuple[str, int]) -> None:
    await record(pair, "ends", unused, pair.ports["tcp"])
    reader, writer = await asyncio.open_connection(*unused)
    writer.write(b"all of it")
    writer.write_eof()
    assert await reader.read() == b"all of it"
    writer.close()
    await pair.script("passed-on", m.Answer(behaviour=m.Behaviour.RESET))
    assert (await pair.send("passed-on", unused, protocol=m.Protocol.TCP)).ending is m.Ending.RESET
    await pair.client.call(m.StopRecording("ends"))


async def test_a_client_that_gives_up_is_noticed_behind_a_recorder(pair: Any, unused: tuple[str, int]) -> None:
    await record(pair, "give-up", unused, pair.ports["http"])
    await pair.script("give-up", m.Answer(behaviour=m.Behaviour.STALL))
    assert (await pair.send("give-up", unused, patience=0.2)).ending is m.Ending.TIMED_OUT
    (attempt,) = await pair.ended("give-up")
    assert attempt.ending is m.AttemptEnding.CANCELLED
    await pair.client.call(m.StopRecording("give-up"))


async def test_nobody_behind_the_recorder_is_a_reset(pair: Any, unused: tuple[str, int]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        await record(pair, "nobody", unused, closed.getsockname())
        assert (await pair.send("nobody", unused)).ending is m.Ending.RESET
    await pair.client.call(m.StopRecording("nobody"))


async def test_a_search_that_would_not_be_whole_is_refused(
    pair: Any, unused: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_recorder, "LIMIT", 1000)
    relay = recorders.Recorders()
    await relay.record("small", unused, pair.ports["tcp"])
    seen = await pair.send("overflow", unused, protocol=m.Protocol.TCP, body=m.Body(length=10_000))
    assert seen.ending is m.Ending.ANSWERED
    with pytest.raises(ProbeFault, match="1000 are kept"):
        relay.look_for("small", ("x",))
    relay.stop("small")
