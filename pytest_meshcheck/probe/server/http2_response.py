"""How one HTTP/2 stream is answered, plainly or in gRPC's way."""

import asyncio
from typing import Protocol

import h2.errors
import h2.exceptions

from pytest_meshcheck.probe.protocol import grpc_framing as grpc
from pytest_meshcheck.probe.protocol.body import content, halves
from pytest_meshcheck.probe.protocol.grpc_framing import MessageReader
from pytest_meshcheck.probe.protocol.messages import Answer, AttemptEnding, Behaviour, joined
from pytest_meshcheck.probe.server.connection import AcceptedConnection, PeerGone
from pytest_meshcheck.probe.server.ledger import Entry
from pytest_meshcheck.probe.server.scripts import UNSCRIPTED

Headers = list[tuple[str, str]]


class ResponseStream:
    """A stream: its attempt, and its request so far. For gRPC the attempt's body is its messages."""

    def __init__(self, number: int, entry: Entry, answer: Answer, *, grpc: bool) -> None:
        self.number = number
        self.entry = entry
        self.answer = answer
        self.is_grpc = grpc
        self.heard = False
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.task: asyncio.Task[None]
        self._reader = MessageReader() if grpc else None
        self._more = asyncio.Event()

    def received(self, data: bytes) -> None:
        """A piece of the request's body came."""
        self._more.set()
        if self._reader is None:
            self.entry.received(data)
            return
        for message in self._reader.feed(data):
            self.entry.received(message)
            self.messages.put_nowait(message)

    def whole(self) -> None:
        """The request is whole."""
        self.heard = True
        self._more.set()
        self.messages.put_nowait(None)

    async def request(self, enough: int | None = None) -> None:
        """Wait until the request is whole, or until so many bytes of its body came."""
        while not self.heard and (enough is None or self.entry.length < enough):
            self._more.clear()
            await self._more.wait()

    def cancel(self, why: str) -> None:
        """The peer gave up."""
        self.heard = True
        self.entry.end(AttemptEnding.CANCELLED, why)
        self.task.cancel()


class Wire(Protocol):
    """What an answer needs of its connection."""

    connection: AcceptedConnection

    async def outcome(self, answer: Answer) -> Answer:
        """The answer to an attempt, after its request onward has ended."""

    async def headers(self, stream: ResponseStream, headers: Headers, *, end: bool = False) -> None:
        """Send a block of headers."""

    async def body(self, stream: ResponseStream, data: bytes) -> None:
        """Send a piece of a body."""

    async def finish(self, stream: ResponseStream) -> None:
        """End the answer without trailers."""

    def refuse(self, stream: ResponseStream, code: h2.errors.ErrorCodes) -> None:
        """Reset the stream."""


async def respond(wire: Wire, stream: ResponseStream) -> None:
    """Answer a stream as scripted."""
    answer, entry = stream.answer, stream.entry
    bidi = stream.is_grpc and (entry.attempt().path.endswith(grpc.BIDI))
    try:
        if not bidi:
            await stream.request(answer.after)
        await asyncio.sleep(answer.delay)
        stream.answer = await wire.outcome(answer)
        await BEHAVIOURS[stream.answer.behaviour](wire, stream)
    except PeerGone as gone:
        entry.end(AttemptEnding.CANCELLED, str(gone))
    except h2.exceptions.ProtocolError as error:
        entry.end(AttemptEnding.CANCELLED, f"the stream was gone: {error!r}")


async def reply(wire: Wire, stream: ResponseStream) -> None:
    """Send the scripted answer; any HTTP status but 200 is an answer without gRPC, whatever was asked."""
    answer = stream.answer
    for status in answer.informational:
        await wire.headers(stream, [(":status", str(status))])
    if stream.is_grpc and answer.status == UNSCRIPTED.status:
        await reply_grpc(wire, stream)
    else:
        await reply_http(wire, stream)


async def reply_http(wire: Wire, stream: ResponseStream) -> None:
    """An answer in HTTP's own terms."""
    answer, entry = stream.answer, stream.entry
    bodiless = entry.attempt().method == "HEAD" or answer.status in (204, 304)
    body = b"" if bodiless else content(answer.body)
    headers = [(":status", str(answer.status)), *lower(answer.headers)]
    if answer.status not in (204, 304):
        headers.append(("content-length", str(len(body))))
    entry.answering()
    await wire.headers(stream, headers)
    first, second = halves(body)
    await wire.body(stream, first)
    await asyncio.sleep(answer.body_delay)
    await wire.body(stream, second)
    await end(wire, stream, lower(answer.trailers))


async def reply_grpc(wire: Wire, stream: ResponseStream) -> None:
    """An answer in gRPC's terms: the request's messages come back, or the script's answer."""
    answer, entry = stream.answer, stream.entry
    head = [(":status", "200"), ("content-type", grpc.CONTENT_TYPE), *lower(answer.headers)]
    trailers = [*grpc.status_trailers(answer.grpc_status, answer.grpc_message), *lower(answer.trailers)]
    entry.answering()
    if answer.trailers_only:
        entry.end(AttemptEnding.ANSWERED)
        return await wire.headers(stream, head + trailers, end=True)
    await wire.headers(stream, head)
    await (begin(wire, stream) if answer.grpc_status else echo(wire, stream))
    return await end(wire, stream, trailers)


async def begin(wire: Wire, stream: ResponseStream) -> None:
    """Send the messages that come before a failure: the script's, or those that were heard, one by one."""
    answer = stream.answer
    for _ in range(answer.messages):
        heard = await stream.messages.get() or b""
        await wire.body(stream, grpc.framed(heard if answer.body == UNSCRIPTED.body else content(answer.body)))
    await asyncio.sleep(answer.body_delay)


async def echo(wire: Wire, stream: ResponseStream) -> None:
    """Send back messages: one by one on a bidirectional stream, as many as asked for on a server's, else one."""
    attempt = stream.entry.attempt()
    if attempt.path.endswith(grpc.BIDI):
        while (message := await stream.messages.get()) is not None:
            await wire.body(stream, grpc.framed(message))
        return
    await stream.request()
    heard = [stream.messages.get_nowait() for _ in range(stream.messages.qsize())]
    payload = b"".join(message for message in heard if message is not None)
    if stream.answer.body != UNSCRIPTED.body:
        payload = content(stream.answer.body)
    count = int(joined(attempt.headers, grpc.COUNT_HEADER) or 1) if attempt.path.endswith(grpc.SERVER_STREAM) else 1
    for number in range(count):
        if number == count // 2:
            await asyncio.sleep(stream.answer.body_delay)
        await wire.body(stream, grpc.framed(payload))


async def end(wire: Wire, stream: ResponseStream, trailers: Headers) -> None:
    """End the answer. It is written down first: whoever has the answer finds the attempt ended."""
    if wire.connection.gone:
        raise PeerGone(wire.connection.gone)
    stream.entry.end(AttemptEnding.ANSWERED)
    if trailers:
        await wire.headers(stream, trailers, end=True)
    else:
        await wire.finish(stream)


async def reset(wire: Wire, stream: ResponseStream) -> None:
    """RST_STREAM INTERNAL_ERROR."""
    if stream.answer.messages:
        stream.entry.answering()
        await wire.headers(stream, [(":status", "200"), ("content-type", grpc.CONTENT_TYPE)])
        await begin(wire, stream)
    stream.entry.end(AttemptEnding.CUT, "reset as scripted")
    wire.refuse(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)


async def refuse(wire: Wire, stream: ResponseStream) -> None:
    """RST_STREAM REFUSED_STREAM."""
    stream.entry.end(AttemptEnding.CUT, "refused as scripted")
    wire.refuse(stream, h2.errors.ErrorCodes.REFUSED_STREAM)


async def close(wire: Wire, stream: ResponseStream) -> None:
    """Close the whole connection."""
    stream.entry.end(AttemptEnding.CUT, "closed as scripted")
    wire.connection.finish()


async def stall(wire: Wire, _stream: ResponseStream) -> None:
    """Never answer; the connection cancels this when the peer gives up."""
    await wire.connection.pause(None)


BEHAVIOURS = {
    Behaviour.ANSWER: reply,
    Behaviour.RESET: reset,
    Behaviour.REFUSE_STREAM: refuse,
    Behaviour.CLOSE: close,
    Behaviour.STALL: stall,
}


def lower(headers: tuple[tuple[str, str], ...]) -> Headers:
    """Headers with names as HTTP/2 wants them."""
    return [(name.lower(), value) for name, value in headers]
