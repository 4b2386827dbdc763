"""Connections that several exchanges share."""

import asyncio
import hashlib
from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.body import seeded_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

H2C = m.Protocol.H2C
HTTP = [m.Protocol.HTTP1, H2C]
HALVES = {"body": m.Body(length=2), "pause_after": 1, "patience": 20}


async def closed(pair: Any, name: str) -> None:
    assert await pair.client.call(m.CloseConnection(name)) == m.Done()


@pytest.mark.parametrize("protocol", HTTP)
async def test_requests_share_a_connection(pair: Any, protocol: m.Protocol) -> None:
    name, body = f"shared-{protocol}", m.Body(length=100_000, seed=4)
    first = await pair.send(f"{name}-1", protocol=protocol, connection=name)
    second = await pair.send(f"{name}-2", protocol=protocol, connection=name, method="POST", body=body)
    await closed(pair, name)
    assert (first.status, second.status) == (200, 200)
    assert first.local == second.local
    (before,), (after,) = await pair.ledger(f"{name}-1"), await pair.ledger(f"{name}-2")
    assert before.peer == after.peer == first.local
    assert after.body_sha256 == hashlib.sha256(seeded_bytes(4, 100_000)).hexdigest()


@pytest.mark.parametrize("protocol", HTTP)
async def test_it_is_dialled_once(pair: Any, protocol: m.Protocol) -> None:
    name = f"left-{protocol}"
    await pair.script(f"{name}-1", m.Answer(behaviour=m.Behaviour.CLOSE))
    seen = [await pair.send(f"{name}-{number}", protocol=protocol, connection=name) for number in (1, 2)]
    await closed(pair, name)
    assert [one.ending for one in seen] == [m.Ending.CLOSED, m.Ending.CLOSED]
    assert await pair.ledger(f"{name}-2") == ()


@pytest.mark.parametrize("protocol", HTTP)
async def test_a_closed_name_is_dialled_anew(pair: Any, protocol: m.Protocol) -> None:
    name = f"again-{protocol}"
    first = await pair.send(f"{name}-1", protocol=protocol, connection=name)
    await closed(pair, name)
    second = await pair.send(f"{name}-2", protocol=protocol, connection=name)
    await closed(pair, name)
    assert (first.status, second.status) == (200, 200)
    assert first.local != second.local


async def test_nothing_is_kept_where_nobody_listens(pair: Any, unused: tuple[str, int]) -> None:
    seen = await pair.send("kept-nobody", unused, connection="kept-nobody")
    assert seen.ending is m.Ending.CONNECT_REFUSED
    await closed(pair, "kept-nobody")


async def test_streams_run_side_by_side(pair: Any) -> None:
    answer = m.Answer(body=m.Body(length=50_000, seed=5), body_delay=0.3)
    await pair.script("beside-slow", answer)
    slow = asyncio.create_task(pair.send("beside-slow", protocol=H2C, connection="beside"))
    await pair.arrived("beside-slow")
    quick = await pair.send("beside-quick", protocol=H2C, connection="beside")
    whole = await slow
    await closed(pair, "beside")
    assert quick.ended < whole.ended
    assert quick.local == whole.local
    assert whole.body_sha256 == hashlib.sha256(seeded_bytes(5, 50_000)).hexdigest()


async def test_an_early_answer_leaves_other_streams_alone(pair: Any) -> None:
    await pair.script("early-beside", m.Answer(body=m.Body(length=50_000, seed=5), body_delay=0.3))
    await pair.script("early-413", m.Answer(status=413, after=0))
    slow = asyncio.create_task(pair.send("early-beside", protocol=H2C, connection="early"))
    await pair.arrived("early-beside")
    upload = {"method": "POST", "body": m.Body(length=1000), "pause_after": 500, "patience": 20}
    early = await pair.send("early-413", protocol=H2C, connection="early", **upload)
    assert (early.ending, early.status) == (m.Ending.ANSWERED, 413)
    assert (await slow).body_length == 50_000
    assert (await pair.send("early-after", protocol=H2C, connection="early")).status == 200
    await closed(pair, "early")


async def test_a_stream_that_is_given_up_is_cancelled(pair: Any) -> None:
    await pair.script("kept-stall", m.Answer(behaviour=m.Behaviour.STALL))
    seen = await pair.send("kept-stall", protocol=H2C, connection="kept-stall", patience=0.3)
    (attempt,) = await pair.ended("kept-stall")
    after = await pair.send("kept-after-stall", protocol=H2C, connection="kept-stall")
    await closed(pair, "kept-stall")
    assert seen.ending is m.Ending.TIMED_OUT
    assert (attempt.ending, attempt.detail) == (m.AttemptEnding.CANCELLED, "RST_STREAM CANCEL")
    assert after.status == 200


@pytest.mark.parametrize("connection", ["", "idle"])
async def test_a_request_can_wait_before_it_is_sent(pair: Any, connection: str) -> None:
    begun = asyncio.get_running_loop().time()
    seen = await pair.send(f"waits-{connection}", connection=connection, idle=0.2, patience=0.15)
    assert seen.status == 200
    assert asyncio.get_running_loop().time() - begun >= 0.2
    await closed(pair, connection)


async def test_other_protocols_have_no_such_connections(pair: Any) -> None:
    error = await pair.fails(
        request_id="no-kept", address=pair.ports["tcp"], protocol=m.Protocol.TCP, connection="no-kept"
    )
    assert error == "connections of tcp are not kept; those of these are: http/1.1, h2c"


async def test_hundreds_of_streams_share_a_connection(pair: Any) -> None:
    """A data plane puts the requests of a storm on one connection."""
    await pair.send("many-first", protocol=H2C, connection="many")
    sent = (
        pair.send(f"many-{number}", protocol=H2C, connection="many", method="POST", **HALVES) for number in range(250)
    )
    sending = [asyncio.ensure_future(one) for one in sent]
    await asyncio.gather(*(pair.arrived(f"many-{number}") for number in range(250)))
    for number in range(250):
        assert await pair.client.call(m.Resume(f"many-{number}")) == m.Done()
    seen = await asyncio.gather(*sending)
    await closed(pair, "many")
    assert {one.status for one in seen} == {200}
