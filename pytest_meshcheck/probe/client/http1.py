"""HTTP/1.1 as a client: bytes exactly as asked for."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import h11

from pytest_meshcheck.probe.client.client import abandon, connection
from pytest_meshcheck.probe.client.connection import Connection
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.protocol.body import before_pause, content, parted
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.headers import from_bytes, to_bytes
from pytest_meshcheck.probe.protocol.messages import REQUEST_ID_HEADER, Ending, Request

HEAD_LIMIT = 1 << 20
FRAMING = frozenset({"content-length", "transfer-encoding"})


class Written:
    """A request as bytes: those before its pause and those after it, and the state that its answer is read with."""

    def __init__(self, request: Request) -> None:
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        if request.raw is not None:
            method = "HEAD" if request.raw.startswith(b"HEAD ") else "GET"
            self._frame(Request(request_id="", address=("", 0), authority="raw", method=method))
            self.start, self.rest = request.raw, b""
        else:
            self.start, self.rest = self._frame(request)

    def _frame(self, request: Request) -> tuple[bytes, bytes]:
        body = content(request.body)
        first, rest = parted(body, before_pause(request))
        try:
            head = self.http.send(
                h11.Request(
                    method=request.method.encode("latin-1"),
                    target=request.path.encode("latin-1"),
                    headers=to_bytes(request_headers(request, body)),
                )
            )
            start = self.http.send(h11.Data(data=first)) if first else b""
            end = self.http.send(h11.Data(data=rest)) if rest else b""
            last = self.http.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise ProbeFault(f"not an HTTP/1.1 request: {error}; Request.raw sends any bytes") from error
        start, end = (head or b"") + (start or b""), (end or b"") + (last or b"")
        return (start, end) if before_pause(request) is not None else (start + end, b"")


def request_headers(request: Request, body: bytes) -> list[tuple[str, str]]:
    """The headers of a request in the order in which they are sent; those that frame the body come last."""
    headers = [("Host", request.authority)] if request.authority else []
    if request.request_id:
        headers.append((REQUEST_ID_HEADER, request.request_id))
    headers += request.headers
    if any(name.lower() in FRAMING for name, _ in request.headers):
        return headers
    if request.chunked:
        return [*headers, ("Transfer-Encoding", "chunked")]
    if body or request.method in ("POST", "PUT", "PATCH"):
        return [*headers, ("Content-Length", str(len(body)))]
    return headers


async def speak(request: Request, recorder: ExchangeRecorder) -> None:
    """Make an exchange; see ``client.speaker``."""
    written = Written(request)
    async with connection(request, recorder) as wire:
        await converse(wire, written, recorder)


async def converse(wire: Connection, written: Written, recorder: ExchangeRecorder) -> None:
    """Send one request and read its answer."""
    writing = asyncio.create_task(send(wire, written, recorder))
    try:
        await read_answer(wire, written.http, recorder)
    finally:
        await abandon(writing)


@dataclass
class KeptHttp1:
    """A connection for one exchange after the other."""

    wire: Connection
    block: AsyncExitStack
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def exchange(self, request: Request, recorder: ExchangeRecorder) -> None:
        """Make an exchange; see ``kept``."""
        written = Written(request)
        async with self._turn:
            await converse(self.wire, written, recorder)

    async def close(self) -> None:
        """Close it."""
        await self.block.aclose()


async def keep(request: Request, recorder: ExchangeRecorder) -> KeptHttp1:
    """Dial a connection that is kept; see ``kept``."""
    async with AsyncExitStack() as block:
        return KeptHttp1(await block.enter_async_context(connection(request, recorder)), block.pop_all())


async def send(wire: Connection, written: Written, recorder: ExchangeRecorder) -> None:
    """Send the request, with its pause."""
    await wire.send(written.start)
    if written.rest:
        await recorder.pause()
        await wire.send(written.rest)


async def read_answer(wire: Connection, http: h11.Connection, recorder: ExchangeRecorder) -> None:
    """Read one answer, or its rest, to the end."""
    while not isinstance(event := await next_event(wire, http, recorder), h11.EndOfMessage):
        if isinstance(event, h11.InformationalResponse):
            recorder.informational += (event.status_code,)
        elif isinstance(event, h11.Response):
            recorder.status, recorder.headers = event.status_code, from_bytes(event.headers.raw_items())
        elif isinstance(event, h11.Data):
            recorder.body(event.data)
        else:
            raise Ended(Ending.MALFORMED, f"unexpected {event!r}")
    recorder.trailers = from_bytes(event.headers.raw_items())


async def next_event(wire: Connection, http: h11.Connection, recorder: ExchangeRecorder) -> object:
    """The next part of an answer: an event of h11, or ``h11.PAUSED`` where the protocol was switched.

    Raises:
        Ended: The answer is not HTTP/1.1, or ends early.
    """
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            await feed(wire, http, recorder)
    except h11.RemoteProtocolError as error:
        if http.trailing_data[1]:
            raise recorder.cut(f"{error}", reset=False) from error
        raise Ended(Ending.MALFORMED, str(error)) from error
    return event


async def feed(wire: Connection, http: h11.Connection, recorder: ExchangeRecorder) -> None:
    """Hand over the peer's next bytes."""
    recorder.begun = recorder.status is not None or bool(http.trailing_data[0])
    data = await wire.receive()
    if not data and not recorder.begun:
        raise recorder.cut("the peer closed the connection", reset=False)
    http.receive_data(data)
