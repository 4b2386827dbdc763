"""A byte stream into a container: the API server's ``exec`` over a WebSocket.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ and the protocol ``v5.channel.k8s.io``:
the first byte of each message is its channel.
"""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import Any

import aiohttp
from kubernetes_asyncio.client import Configuration, CoreV1Api
from kubernetes_asyncio.stream import WsApiClient
from kubernetes_asyncio.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDIN_CHANNEL, STDOUT_CHANNEL

from pytest_meshcheck.platforms.kubernetes.api.proxy import client_of, without_credentials
from pytest_meshcheck.platforms.kubernetes.api.sockets import Sockets
from pytest_meshcheck.probe.controller import ControlStream, ProbeLost

HEARTBEAT = 20.0
"""Seconds between pings, which detect a stream whose other end is gone."""

STDIN = bytes([STDIN_CHANNEL])
CHUNK = 1 << 20
"""Bytes per message; the server does not read longer ones."""

NOT_FOUND = 404


class Executor:
    """Runs commands in containers of one cluster."""

    def __init__(self, configuration: Configuration) -> None:
        self._sockets = Sockets()
        self._client = client_of(WsApiClient, configuration, self._sockets, heartbeat=HEARTBEAT)
        self._pods = CoreV1Api(self._client)
        self._pipes: set[Pipe] = set()

    async def open(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> ControlStream:
        """Start a command; the stream is its standard input and output.

        Raises:
            OSError: The API server or the kubelet cannot be reached at present.
            ProbeLost: The pod no longer exists.
        """
        try:
            # Typed as if it ran the command to its end; without preloading it is a connection to be awaited.
            opening: Any = self._pods.connect_get_namespaced_pod_exec(
                pod,
                namespace,
                container=container,
                command=list(command),  # type: ignore[arg-type]
                stdin=True,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
            )
            socket = await _opened(opening)
        except aiohttp.WSServerHandshakeError as refused:
            if refused.status == NOT_FOUND:
                raise ProbeLost(f"pod {namespace}/{pod} no longer exists") from refused
            raise ConnectionError(f"exec into {namespace}/{pod}: {refused.status} {refused.message}") from refused
        except aiohttp.ClientError as error:
            raise ConnectionError(f"exec into {namespace}/{pod}: {error}") from error
        pipe = Pipe(socket, f"{namespace}/{pod}")
        self._pipes = {one for one in self._pipes if not one.is_closed()} | {pipe}
        return pipe.reader, pipe

    async def run(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> bytes:
        """Run a command to completion, and return its standard output.

        Raises:
            OSError: The API server or the kubelet cannot be reached, or the command fails.
            ProbeLost: The pod no longer exists.
        """
        reader, pipe = await self.open(namespace, pod, container, command)
        try:
            return await reader.read()
        finally:
            pipe.close()

    async def forward(self, namespace: str, pod: str, port: int) -> aiohttp.ClientWebSocketResponse:
        """Connect to a port on the loopback of a pod; aiohttp.ClientError if the API server refuses."""
        opening: Any = self._pods.connect_get_namespaced_pod_portforward(
            pod, namespace, ports=port, _preload_content=False
        )
        return await _opened(opening)

    async def close(self) -> None:
        """Close all streams and connections."""
        await asyncio.gather(*(pipe.end() for pipe in self._pipes))
        await self._client.close()
        await self._sockets.close()


class Pipe:
    """Both ends of an open stream: ``reader`` is the command's output, the pipe itself writes to its input."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, name: str) -> None:
        self.reader = asyncio.StreamReader()
        self._socket = socket
        self._name = name
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._said = b""
        self._closing = False
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._send())]

    def write(self, data: bytes) -> None:
        """Queue bytes to send."""
        for start in range(0, len(data), CHUNK):
            self._outgoing.put_nowait(data[start : start + CHUNK])

    def close(self) -> None:
        """Send the queued bytes, then end the stream."""
        if not self._closing:
            self._closing = True
            self._outgoing.put_nowait(None)

    def is_closing(self) -> bool:
        """Whether it has ended or is ending."""
        return self._closing

    def is_closed(self) -> bool:
        """Whether nothing is sent or received any more."""
        return all(task.done() for task in self._tasks)

    async def end(self) -> None:
        """End the stream."""
        self.close()
        await asyncio.wait(self._tasks)

    async def _send(self) -> None:
        try:
            while (data := await self._outgoing.get()) is not None:
                await self._socket.send_bytes(STDIN + data)
        except (aiohttp.ClientError, OSError) as broken:
            self._end(f"{broken!r}")
        finally:
            await self._socket.close()

    async def _receive(self) -> None:
        status = ""
        async for message in self._socket:
            channel, data = _split(message)
            if channel == STDOUT_CHANNEL and data:
                self.reader.feed_data(data)
            elif channel == STDERR_CHANNEL:
                self._said = (self._said + data)[-2000:]
            elif channel == ERROR_CHANNEL:
                status = _status_message(data)
        self._end(f"{status} {self._said.decode(errors='replace').strip()}".strip())
        self.close()

    def _end(self, why: str) -> None:
        if why and not self._closing and self.reader.exception() is None:
            self.reader.set_exception(ConnectionError(f"exec into {self._name} ended: {why}"))
        else:
            self.reader.feed_eof()


async def _opened(opening: Awaitable[Any]) -> aiohttp.ClientWebSocketResponse:
    with without_credentials():
        socket: aiohttp.ClientWebSocketResponse = await (await opening)
    return socket


def _split(message: Any) -> tuple[int | None, bytes]:
    data = message.data.encode() if isinstance(message.data, str) else message.data
    return (data[0], data[1:]) if isinstance(data, bytes) and data else (None, b"")


def _status_message(data: bytes) -> str:
    status = json.loads(data)
    return "" if status.get("status") == "Success" else str(status.get("message", ""))
