"""HTTP requests to a port on a pod's own loopback, through the API server's ``portforward``.

No program is needed in the container, which often has none. Each message is of one channel, the port's data or its
errors, and the first one of each repeats the port:
https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/server/portforward/websocket.go
"""

import asyncio
import contextlib

import aiohttp
import h11

from pytest_meshcheck.platforms.kubernetes.api.stream import Executor

DATA, ERRORS = 0, 1
PORT = 2
"""Bytes of the first message of a channel."""

ANSWERS_WITHIN = 15.0
NOT_FOUND = 404
REFUSED = 400


class NoAnswer(Exception):
    """A port does not answer; the message has the reason."""


async def fetch(executor: Executor, namespace: str, pod: str, port: int, target: str) -> str | None:
    """The body of the answer to an HTTP GET; None for 404.

    Raises:
        NoAnswer: The pod cannot be reached, or answers with another error.
    """
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            socket = await executor.forward(namespace, pod, port)
            try:
                status, body = await _exchanged(socket, target)
            finally:
                await socket.close()
    except TimeoutError:
        raise NoAnswer(f"no answer within {ANSWERS_WITHIN:.0f} s") from None
    except (aiohttp.ClientError, OSError, h11.ProtocolError) as error:
        raise NoAnswer(str(error)) from error
    if status == NOT_FOUND:
        return None
    if status >= REFUSED:
        raise NoAnswer(f"HTTP status {status}")
    return body.decode(errors="replace")


async def _exchanged(socket: aiohttp.ClientWebSocketResponse, target: str) -> tuple[int, bytes]:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    asked = h11.Request(method="GET", target=target, headers=[("Host", "localhost"), ("Connection", "close")])
    sent = (http.send(asked) or b"") + (http.send(h11.EndOfMessage()) or b"")
    with contextlib.suppress(ConnectionError):  # if it ended at once, the received bytes say why
        await socket.send_bytes(bytes([DATA]) + sent)
    status, body, begun = 0, bytearray(), set[int]()
    while True:
        match http.next_event():
            case h11.Response(status_code=status):
                pass
            case h11.Data(data=data):
                body += data
            case h11.EndOfMessage():
                return status, bytes(body)
            case h11.NEED_DATA:
                http.receive_data(await _received(socket, begun))


async def _received(socket: aiohttp.ClientWebSocketResponse, begun: set[int]) -> bytes:
    """The next bytes of the port; empty at their end. NoAnswer with the error that the API server reports."""
    async for message in socket:
        if not isinstance(message.data, bytes) or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel not in begun:
            begun.add(channel)
            data = data[PORT:]
        if channel == ERRORS and data:
            raise NoAnswer(data.decode(errors="replace"))
        if channel == DATA and data:
            return data
    return b""
