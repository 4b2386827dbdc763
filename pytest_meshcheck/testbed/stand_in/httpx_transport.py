"""httpx over a probe: each request is one exchange of the stand-in's, and how it ended becomes httpx's own error."""

import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import httpx

from pytest_meshcheck.model.workload import new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.headers import from_bytes, to_bytes
from pytest_meshcheck.testbed.stand_in.calls import REQUEST_ID, Sender
from pytest_meshcheck.testbed.stand_in.names import UnknownName

Run = Callable[[Coroutine[Any, Any, httpx.Response]], httpx.Response]

EXCHANGE = "exchange"
"""The extension of a response with the exchange that it was made from."""

LONGEST = 16 << 20
"""Bytes that the body of an answer may have."""

NOT_SENT_ON = frozenset({b"host", m.REQUEST_ID_HEADER.encode()})
"""Headers that the probe writes itself."""

ERRORS: Mapping[m.Ending, type[httpx.TransportError]] = {
    # how an exchange ends on a connection: what httpx raises for that on a connection of its own
    m.Ending.CONNECT_REFUSED: httpx.ConnectError,
    m.Ending.UNREACHABLE: httpx.ConnectError,
    m.Ending.RESET: httpx.ReadError,
    m.Ending.CLOSED: httpx.RemoteProtocolError,
    m.Ending.TRUNCATED: httpx.RemoteProtocolError,
    m.Ending.MALFORMED: httpx.RemoteProtocolError,
    m.Ending.TIMED_OUT: httpx.ReadTimeout,
}


class AsyncTransport(httpx.AsyncBaseTransport):
    """Sends from inside of a stand-in."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange."""
        return await exchanged(self._sender, request, await request.aread())


class Transport(httpx.BaseTransport):
    """Sends from inside of a stand-in, for functions."""

    def __init__(self, sender: Sender, run: Run) -> None:
        self._sender, self._run = sender, run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange."""
        return self._run(exchanged(self._sender, request, request.read()))


def async_client(sender: Sender) -> httpx.AsyncClient:
    """A client that sends from inside of a stand-in."""
    return httpx.AsyncClient(transport=AsyncTransport(sender), timeout=sender.workload.patience, trust_env=False)


def client(sender: Sender, run: Run) -> httpx.Client:
    """A client for functions that sends from inside of a stand-in."""
    return httpx.Client(transport=Transport(sender, run), timeout=sender.workload.patience, trust_env=False)


async def exchanged(sender: Sender, request: httpx.Request, body: bytes) -> httpx.Response:
    """The answer to one request, whole.

    Raises:
        httpx.TransportError: There is no whole answer.
        Inconclusive: The probe is lost, or cannot send this.
    """
    if request.url.scheme != "http":
        raise httpx.UnsupportedProtocol(
            f"{request.url}: a stand-in sends plain HTTP/1.1, which its data plane encrypts; write http://",
            request=request,
        )
    fields = _fields(request, body)
    request.extensions[REQUEST_ID] = fields["request_id"]
    try:
        call = sender.call(str(request.url), **fields)
    except UnknownName as unknown:
        raise httpx.ConnectError(str(unknown), request=request) from unknown
    exchange = await sender.send(call)
    if exchange.ending is not m.Ending.ANSWERED:
        kind = error_of(exchange, fields["patience"])
        raise kind(f"{sender.name} to {request.url}: {exchange.ending}, {exchange.detail}", request=request)
    return _response(exchange, request)


def error_of(exchange: m.Exchange, patience: float) -> type[httpx.TransportError]:
    """What httpx raises for such an end: another error before there was a connection than on it."""
    if exchange.remote is not None:
        return ERRORS[exchange.ending]
    return httpx.ConnectTimeout if exchange.seconds >= patience else httpx.ConnectError


def _fields(request: httpx.Request, body: bytes) -> dict[str, Any]:
    """A request of httpx as fields of ``messages.Request``."""
    read = request.extensions.get("timeout", {}).get("read")
    return {
        "protocol": m.Protocol.HTTP1,
        "request_id": request.headers.get(m.REQUEST_ID_HEADER) or new_id(),
        "authority": request.headers["host"],
        "method": request.method,
        "path": request.url.raw_path.decode("ascii"),
        "headers": from_bytes(one for one in request.headers.raw if one[0].lower() not in NOT_SENT_ON),
        "body": m.Body(data=body),
        "patience": math.inf if read is None else read,
        "excerpt": LONGEST,
    }


def _response(exchange: m.Exchange, request: httpx.Request) -> httpx.Response:
    body = exchange.body_start.encode("latin-1")
    if exchange.body_length > len(body):
        raise httpx.ReadError(
            f"{request.url}: the answer has {exchange.body_length} bytes, a stand-in hands on {LONGEST}",
            request=request,
        )
    return httpx.Response(
        exchange.status or 0,
        headers=to_bytes(exchange.headers),
        stream=httpx.ByteStream(body),
        extensions={"http_version": b"HTTP/1.1", EXCHANGE: exchange},
    )
