"""HTTP/1.1 from probe to probe: what was sent is what was received, to the byte."""

import asyncio
import hashlib
from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.body import seeded_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

B = m.Behaviour


async def test_the_ledger_shows_the_request_as_it_was_sent(pair: Any) -> None:
    headers = (("X-Mixed-Case", "1"), ("x-twice", "a"), ("x-twice", "b"))
    seen = await pair.send("as-sent", path="/a/../b//c?q=%2e", headers=headers, authority="blue.example")
    (attempt,) = await pair.ledger("as-sent")
    assert (seen.ending, seen.status, seen.body_start) == (m.Ending.ANSWERED, 200, "served\n")
    assert (attempt.method, attempt.path, attempt.authority) == ("GET", "/a/../b//c?q=%2e", "blue.example")
    assert attempt.headers == (("Host", "blue.example"), ("x-meshcheck-id", "as-sent"), *headers)
    assert (attempt.number, attempt.instance, attempt.port, attempt.peer) == (1, "server-1", "http", seen.local)
    assert attempt.ending is m.AttemptEnding.ANSWERED
    assert seen.started <= attempt.arrived <= attempt.answered <= attempt.ended <= seen.ended


@pytest.mark.parametrize("length", [0, 1, 65_537, 1 << 20])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("delay", [0, 0.02])
async def test_bodies_arrive_whole(pair: Any, length: int, chunked: bool, delay: float) -> None:
    request_id = f"body-{length}-{chunked}-{delay}"
    body = m.Body(length=length, seed=7)
    await pair.script(request_id, m.Answer(body=m.Body(length=length, seed=8), body_delay=delay))
    seen = await pair.send(request_id, method="POST", body=body, chunked=chunked, body_delay=delay)
    (attempt,) = await pair.ledger(request_id)
    assert (attempt.body_length, attempt.body_sha256) == (length, hashlib.sha256(seeded_bytes(7, length)).hexdigest())
    assert (seen.body_length, seen.body_sha256) == (length, hashlib.sha256(seeded_bytes(8, length)).hexdigest())
    assert attempt.header("transfer-encoding") == ("chunked" if chunked else None)


async def test_answers_follow_the_script_attempt_by_attempt(pair: Any) -> None:
    await pair.script("script", m.Answer(status=503), m.Answer(status=429))
    statuses = [(await pair.send("script")).status for _ in range(3)]
    attempts = await pair.ledger("script")
    assert statuses == [503, 429, 200]
    assert [attempt.number for attempt in attempts] == [1, 2, 3]


async def test_a_script_may_repeat_its_last_answer(pair: Any) -> None:
    await pair.script("repeat", m.Answer(status=500), m.Answer(status=502), repeat=True)
    assert [(await pair.send("repeat")).status for _ in range(4)] == [500, 502, 502, 502]


async def test_headers_trailers_and_informational_statuses_arrive(pair: Any) -> None:
    answer = m.Answer(status=201, headers=(("X-One", "1"),), trailers=(("X-End", "z"),), informational=(103, 103))
    await pair.script("trailers", answer)
    seen = await pair.send("trailers")
    assert (seen.status, seen.informational, seen.trailers) == (201, (103, 103), (("X-End", "z"),))
    assert seen.headers == (("X-One", "1"), ("Transfer-Encoding", "chunked"))
    assert seen.body_start == "served\n"


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", 200, 0), ("GET", 204, 0), ("GET", 304, 0), ("DELETE", 200, 7)]
)
async def test_answers_without_body(pair: Any, method: str, status: int, length: int) -> None:
    request_id = f"bodiless-{method}-{status}"
    await pair.script(request_id, m.Answer(status=status))
    seen = await pair.send(request_id, method=method)
    assert (seen.ending, seen.status, seen.body_length) == (m.Ending.ANSWERED, status, length)


@pytest.mark.parametrize(
    ("behaviour", "ending"),
    [
        (B.RESET, m.Ending.RESET),
        (B.REFUSE_STREAM, m.Ending.RESET),
        (B.CLOSE, m.Ending.CLOSED),
    ],
)
async def test_the_server_cuts_attempts_as_scripted(pair: Any, behaviour: m.Behaviour, ending: m.Ending) -> None:
    await pair.script(f"cut-{behaviour}", m.Answer(behaviour=behaviour))
    seen = await pair.send(f"cut-{behaviour}", method="POST", body=m.Body(length=100_000))
    (attempt,) = await pair.ledger(f"cut-{behaviour}")
    assert (seen.ending, seen.status) == (ending, None)
    assert (attempt.ending, attempt.body_length) == (m.AttemptEnding.CUT, 100_000)


@pytest.mark.parametrize("answer", [m.Answer(behaviour=B.STALL), m.Answer(delay=60), m.Answer(body_delay=60)])
async def test_a_client_that_gives_up_is_noticed_at_once(pair: Any, answer: m.Answer) -> None:
    request_id = f"gives-up-{answer.behaviour}-{answer.delay}"
    await pair.script(request_id, answer)
    seen = await pair.send(request_id, patience=0.2)
    (attempt,) = await pair.ended(request_id)
    assert seen.ending is m.Ending.TIMED_OUT
    assert attempt.ending is m.AttemptEnding.CANCELLED
    assert attempt.detail == "the peer closed the connection"
    assert attempt.ended - seen.started < 30


async def test_an_early_answer_is_read_while_the_body_is_still_to_come(pair: Any) -> None:
    await pair.script("early", m.Answer(status=413, after=0))
    seen = await pair.send("early", method="POST", body=m.Body(length=1000), body_delay=60, patience=20)
    assert (seen.ending, seen.status) == (m.Ending.ANSWERED, 413)


async def test_the_delay_comes_before_the_head(pair: Any) -> None:
    await pair.script("delay", m.Answer(delay=0.3))
    seen = await pair.send("delay")
    (attempt,) = await pair.ledger("delay")
    assert attempt.answered - attempt.arrived >= 0.3
    assert seen.seconds >= 0.3


async def test_raw_bytes_go_out_as_they_are(pair: Any) -> None:
    raw = b"GET /raw HTTP/1.1\r\nhOST:  a b \r\nx-meshcheck-id: raw\r\n\r\n"
    seen = await pair.send("raw", raw=raw)
    (attempt,) = await pair.ledger("raw")
    assert seen.status == 200
    assert attempt.headers == (("hOST", "a b"), ("x-meshcheck-id", "raw"))


async def test_bytes_that_are_no_http_are_written_down_and_refused(pair: Any) -> None:
    before = len(await pair.ledger(""))
    seen = await pair.send("garbage", raw=b"\x16\x03\x01 hello\r\n\r\n")
    nameless = [a for a in await pair.ledger("", since=before) if not a.request_id]
    assert seen.status == 400
    assert [a.ending for a in nameless] == [m.AttemptEnding.CUT]
    assert nameless[0].detail.startswith("not HTTP/1.1")


async def test_a_request_that_http_forbids_is_a_failure_of_the_probe(pair: Any) -> None:
    error = await pair.fails(request_id="x", address=pair.ports["http"], authority="a", path="/a b")
    assert "Request.raw" in error


async def test_one_connection_carries_many_attempts(pair: Any) -> None:
    raw = b"".join(b"GET / HTTP/1.1\r\nhost: a\r\nx-meshcheck-id: kept-%d\r\n\r\n" % n for n in range(3))
    await pair.send("kept", raw=raw)
    attempts = [await pair.ended(f"kept-{n}") for n in range(3)]
    assert len({attempt.peer for (attempt,) in attempts}) == 1


@pytest.mark.parametrize("after", [0, 500])
@pytest.mark.parametrize("behaviour", [B.RESET, B.CLOSE, B.ANSWER])
async def test_an_attempt_fails_at_a_point_of_the_request(pair: Any, after: int, behaviour: m.Behaviour) -> None:
    request_id = f"point-{after}-{behaviour}"
    await pair.script(request_id, m.Answer(status=503, behaviour=behaviour, after=after))
    body = m.Body(length=1000, seed=7)
    seen = await pair.send(request_id, method="POST", body=body, pause_after=after, patience=20)
    (attempt,) = await pair.ended(request_id)
    assert seen.ending is not m.Ending.TIMED_OUT
    assert attempt.body_length == after


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("first", [0, 400])
async def test_a_body_pauses_until_it_is_resumed(pair: Any, first: int, chunked: bool) -> None:
    request_id = f"pause-{first}-{chunked}"
    body = m.Body(length=1000, seed=7)
    request = pair.request(request_id, method="POST", body=body, chunked=chunked, pause_after=first)
    sending = asyncio.create_task(pair.client.call(m.Send(request)))
    assert [attempt.ending for attempt in await pair.arrived(request_id)] == [m.AttemptEnding.OPEN]
    assert await pair.client.call(m.Resume(request_id)) == m.Done()
    assert (await sending).exchange.status == 200
    (attempt,) = await pair.ledger(request_id)
    assert attempt.body_sha256 == hashlib.sha256(seeded_bytes(7, 1000)).hexdigest()


async def test_a_request_that_has_ended_is_resumed_in_vain(pair: Any) -> None:
    assert await pair.client.call(m.Resume("nobody")) == m.Done()
