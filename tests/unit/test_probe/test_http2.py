"""HTTP/2 with prior knowledge, and gRPC, from probe to probe."""

import asyncio
import hashlib
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from hyperframe.frame import GoAwayFrame

from pytest_meshcheck.probe.http2.connection import server_side
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.body import seeded_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

B = m.Behaviour
H2C = m.Protocol.H2C
GRPC = m.Protocol.GRPC


@pytest.mark.parametrize("length", [0, 1, 65_537, 1 << 20])
@pytest.mark.parametrize("delay", [0, 0.02])
async def test_bodies_arrive_whole(pair: Any, length: int, delay: float) -> None:
    request_id = f"h2-{length}-{delay}"
    await pair.script(request_id, m.Answer(body=m.Body(length=length, seed=8), body_delay=delay))
    body = m.Body(length=length, seed=7)
    seen = await pair.send(request_id, protocol=H2C, method="POST", body=body, body_delay=delay)
    (attempt,) = await pair.ledger(request_id)
    assert (attempt.body_length, attempt.body_sha256) == (length, hashlib.sha256(seeded_bytes(7, length)).hexdigest())
    assert (seen.body_length, seen.body_sha256) == (length, hashlib.sha256(seeded_bytes(8, length)).hexdigest())
    assert (seen.status, attempt.protocol, attempt.authority) == (200, H2C, "server")


async def test_headers_trailers_and_informational_statuses_arrive(pair: Any) -> None:
    answer = m.Answer(headers=(("X-One", "\xe9"),), trailers=(("x-end", "z"),), informational=(103,))
    await pair.script("h2-trailers", answer)
    seen = await pair.send("h2-trailers", protocol=H2C, headers=(("X-Q", "\xe9"),))
    (attempt,) = await pair.ledger("h2-trailers")
    assert (seen.informational, seen.trailers) == ((103,), (("x-end", "z"),))
    assert (seen.header("x-one"), attempt.header("x-q")) == ("\xe9", "\xe9")


@pytest.mark.parametrize(
    ("behaviour", "ending", "detail"),
    [
        (B.RESET, m.Ending.RESET, "RST_STREAM INTERNAL_ERROR"),
        (B.REFUSE_STREAM, m.Ending.RESET, "RST_STREAM REFUSED_STREAM"),
        (B.CLOSE, m.Ending.CLOSED, "the peer closed the connection"),
    ],
)
async def test_the_server_cuts_streams_as_scripted(
    pair: Any, behaviour: m.Behaviour, ending: m.Ending, detail: str
) -> None:
    await pair.script(f"h2-{behaviour}", m.Answer(behaviour=behaviour))
    seen = await pair.send(f"h2-{behaviour}", protocol=H2C)
    (attempt,) = await pair.ledger(f"h2-{behaviour}")
    assert (seen.ending, seen.detail) == (ending, detail)
    assert attempt.ending is m.AttemptEnding.CUT


@pytest.mark.parametrize("protocol", [H2C, GRPC])
@pytest.mark.parametrize("answer", [m.Answer(behaviour=B.STALL), m.Answer(delay=60), m.Answer(body_delay=60)])
async def test_a_client_that_gives_up_is_noticed_at_once(pair: Any, protocol: m.Protocol, answer: m.Answer) -> None:
    request_id = f"{protocol}-gives-up-{answer.behaviour}-{answer.delay}"
    await pair.script(request_id, answer)
    seen = await pair.send(request_id, protocol=protocol, patience=0.3)
    (attempt,) = await pair.ended(request_id)
    assert seen.ending is m.Ending.TIMED_OUT
    assert attempt.ending is m.AttemptEnding.CANCELLED
    assert attempt.ended - seen.started < 30


async def test_an_answer_after_a_goaway_is_read(pair: Any, peers: Any) -> None:
    async def drains(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = server_side()
        writer.write(http.data_to_send())
        while not any(isinstance(one, h2.events.RequestReceived) for one in http.receive_data(await reader.read(9999))):
            pass
        http.send_headers(1, [(":status", "200")])
        http.send_data(1, b"late", end_stream=True)
        writer.write(GoAwayFrame(0, (1 << 31) - 1, h2.errors.ErrorCodes.NO_ERROR).serialize() + http.data_to_send())
        await writer.drain()
        await reader.read()
        writer.close()

    async with peers(drains) as address:
        seen = await pair.send("h2-drained", address, protocol=H2C)
    assert (seen.ending, seen.detail, seen.status, seen.body_start) == (m.Ending.ANSWERED, "", 200, "late")


async def test_a_stream_that_is_reset_within_an_upload_ends_the_exchange(pair: Any, peers: Any) -> None:
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))  # its windows are narrow
        server.initiate_connection()
        writer.write(server.data_to_send())
        received = 0
        while received < 65_535:
            for event in server.receive_data(await reader.read(65536)):
                received += len(event.data) if isinstance(event, h2.events.DataReceived) else 0
        server.increment_flow_control_window(100_000)
        server.increment_flow_control_window(100_000, 1)
        server.reset_stream(1)
        writer.write(server.data_to_send())
        await writer.drain()
        await reader.read()
        writer.close()

    async with peers(resets) as address:
        seen = await pair.send(
            "reset-upload", address, protocol=m.Protocol.H2C, method="POST", body=m.Body(length=300_000)
        )
    assert seen.ending is m.Ending.RESET


async def test_an_early_answer_is_read_while_the_body_is_still_to_come(pair: Any) -> None:
    await pair.script("h2-early", m.Answer(status=413, after=0))
    seen = await pair.send(
        "h2-early", protocol=H2C, method="POST", body=m.Body(length=1000), body_delay=60, patience=20
    )
    assert (seen.ending, seen.status) == (m.Ending.ANSWERED, 413)


@pytest.mark.parametrize(
    ("kind", "sent", "echoed", "messages"),
    [("unary", 1, 1, 1), ("client-stream", 3, 3, 1), ("server-stream", 1, 3, 3), ("bidi", 3, 3, 3)],
)
async def test_grpc_echoes_every_kind_of_call(pair: Any, kind: str, sent: int, echoed: int, messages: int) -> None:
    seen = await pair.send(f"grpc-{kind}", "grpc", protocol=GRPC, kind=kind, messages=3, body=m.Body(length=1000))
    (attempt,) = await pair.ledger(f"grpc-{kind}")
    assert (seen.ending, seen.grpc_status, seen.messages) == (m.Ending.ANSWERED, 0, messages)
    assert (attempt.body_length, seen.body_length) == (sent * 1000, echoed * 1000)
    assert (attempt.protocol, attempt.authority, attempt.method) == (GRPC, "server", "POST")
    assert attempt.ending is m.AttemptEnding.ANSWERED


async def test_grpc_carries_a_large_message(pair: Any) -> None:
    seen = await pair.send("grpc-large", "grpc", protocol=GRPC, body=m.Body(length=5 << 20, seed=3))
    assert seen.body_sha256 == hashlib.sha256(seeded_bytes(3, 5 << 20)).hexdigest()


@pytest.mark.parametrize("trailers_only", [False, True])
async def test_grpc_fails_as_scripted(pair: Any, trailers_only: bool) -> None:
    request_id = f"grpc-14-{trailers_only}"
    answer = m.Answer(
        grpc_status=14, grpc_message="down: 100 % ü", trailers_only=trailers_only, trailers=(("x-end", "z"),)
    )
    await pair.script(request_id, answer)
    seen = await pair.send(request_id, "grpc", protocol=GRPC)
    assert (seen.ending, seen.grpc_status, seen.grpc_message) == (m.Ending.ANSWERED, 14, "down: 100 % ü")
    assert seen.trailers == (("x-end", "z"),)


@pytest.mark.parametrize("kind", ["unary", "client-stream"])
async def test_a_status_without_the_message_is_no_fault_of_the_probe(pair: Any, kind: str) -> None:
    await pair.script(f"no-message-{kind}", m.Answer(trailers_only=True))
    seen = await pair.send(f"no-message-{kind}", "grpc", protocol=GRPC, kind=kind)
    assert (seen.ending, seen.grpc_status, seen.messages) == (m.Ending.ANSWERED, 0, 0)


@pytest.mark.parametrize("quoted", ["upstream: Connection refused", "disconnect/reset; Socket closed"])
async def test_what_a_peer_says_is_not_taken_for_what_the_client_saw(pair: Any, quoted: str) -> None:
    await pair.script(quoted, m.Answer(grpc_status=14, grpc_message=quoted))
    assert (await pair.send(quoted, "grpc", protocol=GRPC)).ending is m.Ending.ANSWERED


async def test_an_http_status_in_place_of_a_grpc_status_is_told(pair: Any) -> None:
    await pair.script("grpc-http", m.Answer(status=503))
    seen = await pair.send("grpc-http", "grpc", protocol=GRPC)
    assert (seen.ending, seen.status, seen.grpc_status) == (m.Ending.ANSWERED, 503, 14)


@pytest.mark.parametrize(
    ("behaviour", "ending"),
    [(B.RESET, m.Ending.RESET), (B.REFUSE_STREAM, m.Ending.RESET), (B.CLOSE, m.Ending.CLOSED)],
)
async def test_grpc_calls_are_cut_as_scripted_and_never_retried(
    pair: Any, behaviour: m.Behaviour, ending: m.Ending
) -> None:
    await pair.script(f"grpc-{behaviour}", m.Answer(behaviour=behaviour))
    seen = await pair.send(f"grpc-{behaviour}", "grpc", protocol=GRPC)
    assert seen.ending is ending
    assert len(await pair.ledger(f"grpc-{behaviour}")) == 1


async def test_a_deadline_reaches_the_server_and_its_passing_cancels(pair: Any) -> None:
    await pair.script("deadline", m.Answer(behaviour=B.STALL))
    seen = await pair.send("deadline", "grpc", protocol=GRPC, deadline=0.3)
    (attempt,) = await pair.ended("deadline")
    assert (seen.ending, seen.grpc_status) == (m.Ending.TIMED_OUT, 4)
    assert attempt.header("grpc-timeout") is not None
    assert (attempt.ending, attempt.detail) == (m.AttemptEnding.CANCELLED, "RST_STREAM CANCEL")


async def test_grpc_to_nobody(pair: Any, unused: tuple[str, int]) -> None:
    assert (await pair.send("grpc-nobody", unused, protocol=GRPC)).ending is m.Ending.CONNECT_REFUSED


async def test_grpc_to_something_else(pair: Any) -> None:
    assert (await pair.send("grpc-else", "tcp", protocol=GRPC)).ending is m.Ending.MALFORMED


async def test_grpc_status_in_trailers_is_read_over_plain_http2(pair: Any) -> None:
    answer = m.Answer(grpc_status=7, grpc_message="no")
    await pair.script("h2-grpc", answer)
    seen = await pair.send("h2-grpc", protocol=H2C, method="POST", headers=(("content-type", "application/grpc"),))
    assert (seen.status, seen.grpc_status, seen.grpc_message) == (200, 7, "no")


@pytest.mark.parametrize("after", [0, 500])
@pytest.mark.parametrize("behaviour", [B.RESET, B.REFUSE_STREAM, B.ANSWER])
async def test_an_attempt_fails_at_a_point_of_the_request(pair: Any, after: int, behaviour: m.Behaviour) -> None:
    request_id = f"h2-point-{after}-{behaviour}"
    await pair.script(request_id, m.Answer(status=503, behaviour=behaviour, after=after))
    body = m.Body(length=1000, seed=7)
    seen = await pair.send(request_id, protocol=H2C, method="POST", body=body, pause_after=after, patience=20)
    (attempt,) = await pair.ended(request_id)
    assert seen.ending is not m.Ending.TIMED_OUT
    assert attempt.body_length == after


@pytest.mark.parametrize("first", [0, 400])
async def test_a_body_pauses_until_it_is_resumed(pair: Any, first: int) -> None:
    request_id = f"h2-pause-{first}"
    request = pair.request(request_id, protocol=H2C, method="POST", body=m.Body(length=1000, seed=7), pause_after=first)
    sending = asyncio.create_task(pair.client.call(m.Send(request)))
    assert [attempt.ending for attempt in await pair.arrived(request_id)] == [m.AttemptEnding.OPEN]
    assert await pair.client.call(m.Resume(request_id)) == m.Done()
    assert (await sending).exchange.status == 200
    (attempt,) = await pair.ledger(request_id)
    assert attempt.body_sha256 == hashlib.sha256(seeded_bytes(7, 1000)).hexdigest()


@pytest.mark.parametrize("before", [0, 1])
async def test_a_call_fails_between_its_messages(pair: Any, before: int) -> None:
    request_id = f"grpc-point-{before}"
    await pair.script(request_id, m.Answer(grpc_status=14, trailers_only=True, after=before * 100))
    upload = {"kind": "client-stream", "messages": 2, "body": m.Body(length=100), "pause_after": before}
    seen = await pair.send(request_id, "grpc", protocol=GRPC, patience=20, **upload)
    (attempt,) = await pair.ended(request_id)
    assert (seen.ending, seen.grpc_status) == (m.Ending.ANSWERED, 14)
    assert attempt.body_length == before * 100


@pytest.mark.parametrize("kind", ["server-stream", "bidi"])
async def test_a_stream_fails_after_its_first_message(pair: Any, kind: str) -> None:
    await pair.script(f"partly-{kind}", m.Answer(grpc_status=14, messages=1))
    call = {"kind": kind, "messages": 1, "body": m.Body(length=100, seed=6)}
    seen = await pair.send(f"partly-{kind}", "grpc", protocol=GRPC, **call)
    assert (seen.grpc_status, seen.messages, seen.body_length) == (14, 1, 100)


async def test_a_stream_fails_after_a_scripted_message_and_its_delay(pair: Any) -> None:
    await pair.script("scripted", m.Answer(grpc_status=14, messages=1, body=m.Body(text="hello"), body_delay=0.1))
    seen = await pair.send("scripted", "grpc", protocol=GRPC, kind="bidi", messages=1)
    (attempt,) = await pair.ended("scripted")
    assert (seen.grpc_status, seen.messages, seen.body_start) == (14, 1, "hello")
    assert attempt.ended - attempt.answered >= 0.1


async def test_a_stream_is_reset_after_its_first_message(pair: Any) -> None:
    """Over plain HTTP/2: grpcio may drop what it has not read when a stream is reset."""
    await pair.script("partly-reset", m.Answer(behaviour=B.RESET, messages=1))
    call = {"method": "POST", "path": "/meshcheck.Probe/ServerStream", "body": m.Body(text="\0" * 5), "chunked": True}
    seen = await pair.send("partly-reset", protocol=H2C, headers=(("content-type", "application/grpc"),), **call)
    assert (seen.ending, seen.body_length) == (m.Ending.TRUNCATED, 5)
