"""gRPC as a client: one call on a channel of its own, without retries, proxies or shared connections."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.protocol.body import content
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.grpc_framing import COUNT_HEADER
from pytest_meshcheck.probe.protocol.messages import REQUEST_ID_HEADER, Ending, Request
from pytest_meshcheck.probe.protocol.protocols import GRPC_PATHS

KINDS = {
    "unary": "unary_unary",
    "client-stream": "stream_unary",
    "server-stream": "unary_stream",
    "bidi": "stream_stream",
}
"""grpcio's names of the kinds of call."""

CONNECTING = "failed to connect to all addresses"

LOCAL = (
    (rf"{CONNECTING}.*connection refused", Ending.CONNECT_REFUSED),
    (rf"{CONNECTING}.*(reset|broken pipe)", Ending.RESET),
    (rf"{CONNECTING}.*(socket closed|endpoint closing|connection closed|end of tcp stream)", Ending.CLOSED),
    (rf"{CONNECTING}.*failed parsing http/2", Ending.MALFORMED),
    (rf"{CONNECTING}", Ending.UNREACHABLE),
    (r"dns resolution failed", Ending.UNREACHABLE),
    (r"deadline exceeded\)*$", Ending.TIMED_OUT),
    (r"(received )?rst_stream", Ending.RESET),
    (r".*(recvmsg|sendmsg|tcp).*(reset|broken pipe|aborted)", Ending.RESET),
    (r"(connection reset|broken pipe)", Ending.RESET),
    (r"(socket closed|endpoint closing|connection closed|end of tcp stream)", Ending.CLOSED),
    (r"goaway", Ending.CLOSED),
    (r"(error|failed) (parsing|deframing|decoding)", Ending.MALFORMED),
    (r"stream removed", Ending.CLOSED),
)
"""How grpcio's own messages begin where no status came from a peer (lower case, first match wins).

A peer's words are never searched for in the middle of a message, since proxies quote such words in theirs.
"""

HTTP_STATUS = re.compile(r"Received http2 header with status: (\d+)")

MESSAGE_LIMIT = 64 << 20


async def speak(request: Request, recorder: ExchangeRecorder) -> None:
    """Make a call; see ``client.speaker``. A status other than 0 is an answer if a peer sent it."""
    async with channel(request) as opened:
        await observe_call(begin(opened, request), request, recorder)


@asynccontextmanager
async def channel(request: Request) -> AsyncIterator[grpc.aio.Channel]:
    """A channel for one request."""
    opened = open_channel(request)
    try:
        yield opened
    finally:
        await opened.close()


def open_channel(request: Request) -> grpc.aio.Channel:
    """A channel that shares nothing; ProbeFault where TLS is asked for."""
    if request.tls is not None:
        raise ProbeFault("gRPC over TLS: grpcio takes no unverified server; use h2c with content-type application/grpc")
    if request.kind not in KINDS:
        raise ProbeFault(f"no kind of gRPC call {request.kind!r}; known are {', '.join(KINDS)}")
    host, port = request.address
    options: list[tuple[str, str | int]] = [
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ("grpc.max_send_message_length", MESSAGE_LIMIT),
        ("grpc.initial_reconnect_backoff_ms", 60_000),
    ]
    if request.authority:
        options.append(("grpc.default_authority", request.authority))
    return grpc.aio.insecure_channel(target(host, port), options=options)


def target(host: str, port: int) -> str:
    """An address in gRPC's naming."""
    if ":" in host:
        return f"ipv6:[{host}]:{port}"
    return f"ipv4:{host}:{port}" if host.replace(".", "").isdigit() else f"dns:///{host}:{port}"


def begin(opened: grpc.aio.Channel, request: Request) -> Any:
    """Start the call; its messages are raw bytes."""
    arity = KINDS[request.kind]
    path = request.path if request.path != "/" else GRPC_PATHS[request.kind]
    metadata = [(REQUEST_ID_HEADER, request.request_id), *((name.lower(), value) for name, value in request.headers)]
    if request.kind == "server-stream":
        metadata.append((COUNT_HEADER, str(request.messages)))
    call = getattr(opened, arity)(path)
    body = content(request.body)
    if arity.startswith("unary"):
        return call(body, metadata=metadata, timeout=request.deadline)
    return call(metadata=metadata, timeout=request.deadline)


async def observe_call(call: Any, request: Request, recorder: ExchangeRecorder) -> None:
    """Run a call to its end."""
    recorder.connected = True
    try:
        await converse(call, request, recorder)
    except grpc.aio.AioRpcError:
        # The call itself knows its status, with or without messages before it.
        await end(call, recorder)
        return
    except asyncio.CancelledError:
        call.cancel()
        raise
    await end(call, recorder)


async def converse(call: Any, request: Request, recorder: ExchangeRecorder) -> None:
    """Exchange the messages of a call."""
    if request.kind == "unary":
        only_message(await call, recorder)
        return
    if request.kind == "server-stream":
        await read_all(call, recorder)
        return
    await write_all(call, request, recorder)
    if request.kind == "client-stream":
        only_message(await call, recorder)
    else:
        await read_all(call, recorder)


async def write_all(call: Any, request: Request, recorder: ExchangeRecorder) -> None:
    """Write the messages of a call, with its pause; no more of them once it has ended."""
    for number in range(request.messages):
        if number == (request.pause_after or 0):
            await pause(call, recorder)
        if call.done():
            return
        await call.write(content(request.body))
        if request.kind == "bidi":
            await read_one(call, recorder)
    await call.done_writing()


async def pause(call: Any, recorder: ExchangeRecorder) -> None:
    """Wait where the call has a pause, but no longer than it lasts."""
    waiting = [asyncio.ensure_future(recorder.pause()), asyncio.ensure_future(call.code())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def read_one(call: Any, recorder: ExchangeRecorder) -> None:
    """Read one message; without one the call has ended."""
    received = await call.read()
    if received is not grpc.aio.EOF:
        message(received, recorder)


async def read_all(call: Any, recorder: ExchangeRecorder) -> None:
    """Read messages until the call ends."""
    while (received := await call.read()) is not grpc.aio.EOF:
        message(received, recorder)


def message(received: bytes, recorder: ExchangeRecorder) -> None:
    """Note one message."""
    recorder.messages += 1
    recorder.body(received)


def only_message(received: bytes | None, recorder: ExchangeRecorder) -> None:
    """Note the message of a call that has one; where the peer sent a status alone, grpcio has none either."""
    if received is not None:
        message(received, recorder)


async def end(call: Any, recorder: ExchangeRecorder) -> None:
    """Note how a call ended.

    Raises:
        Ended: No status came from a peer.
    """
    recorder.headers = pairs(await call.initial_metadata())
    recorder.trailers = pairs(await call.trailing_metadata())
    code = await call.code()
    recorder.grpc_status = code.value[0]
    recorder.grpc_message = await call.details() or ""
    recorder.begun = bool(recorder.headers) or recorder.begun
    if http := HTTP_STATUS.match(recorder.grpc_message):
        recorder.status = int(http[1])
    ending = ended_locally(recorder.grpc_message) if code is not grpc.StatusCode.OK else None
    if ending in (Ending.RESET, Ending.CLOSED):
        raise recorder.cut(recorder.grpc_message, reset=ending is Ending.RESET)
    if ending is not None:
        raise Ended(ending, recorder.grpc_message)


def ended_locally(said: str) -> Ending | None:
    """How a call ended to which grpcio gave this message itself; None for a peer's message."""
    plain = said.lower().removeprefix("stream removed (").removeprefix("rst_stream (").removesuffix(")")
    return next((ending for words, ending in LOCAL if re.match(words, plain)), None)


def pairs(metadata: Any) -> tuple[tuple[str, str], ...]:
    """Metadata as headers."""
    return tuple((key, value.decode("latin-1") if isinstance(value, bytes) else value) for key, value in metadata or ())


@dataclass
class GrpcStream:
    """A bidirectional stream that stays open."""

    request: Request
    _channel: grpc.aio.Channel
    _call: Any

    async def echo(self, data: bytes, recorder: ExchangeRecorder) -> None:
        """Send a message and wait for its echo."""
        recorder.connected = True
        try:
            await self._call.write(data)
            received = await self._call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            received = grpc.aio.EOF
        if received is grpc.aio.EOF:
            await end(self._call, recorder)
            raise Ended(Ending.CLOSED, "the stream had ended")
        message(received, recorder)

    async def close(self) -> None:
        """Cancel it and close its channel."""
        self._call.cancel()
        await self._channel.close()


async def open_stream(request: Request, recorder: ExchangeRecorder) -> GrpcStream:
    """Open a bidirectional stream and have it echo once; see ``streams``."""
    opened = open_channel(request)
    stream = GrpcStream(request, opened, begin(opened, request))
    try:
        await stream.echo(content(request.body) or b"meshcheck", recorder)
    except BaseException:
        await stream.close()
        raise
    return stream
