"""Requests to an API server: a refusal is an error, a restart of the server is waited out, a watch is a stream.

kubernetes-asyncio brings credentials, TLS and connections. Its ``DynamicClient``, ``Watch`` and preloaded requests are
not used, because they are less careful than a run has to be:

- ``DynamicClient`` returns the ``Status`` of a refusal as if it were the resource, takes a discovery that fails with
  503 for a group without kinds, and keeps what it discovered in a file with a predictable name in the shared temporary
  folder, where another user can put paths that manifests are then sent to. Its discovery makes 23 requests before the
  first one on Kubernetes 1.34; a run reads the groups that it uses.
- ``Watch`` makes a client of its own, with a TLS context, for each watch, and its connection outlives the event loop.
- A preloaded request logs the whole answer, so that pytest with ``log_level = DEBUG`` prints Secrets.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration

from pytest_meshcheck.platforms.kubernetes.api.proxy import client_of, without_credentials
from pytest_meshcheck.platforms.kubernetes.api.sockets import Sockets

PAUSE = 0.5
"""Seconds between attempts to reach a server that is away."""

UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
FORBIDDEN = 403
NOT_FOUND = 404
SERVER_ERRORS = 500
REFUSED = 400
TOO_OLD = 410
BUSY = 429
UNAVAILABLE = 503
PASSING = (BUSY, UNAVAILABLE)
"""Statuses of an API server that is worth asking again soon."""
WATCHED_FOR = 240
"""Seconds after which the server ends a watch, and a new one begins: a dead connection shows by then."""
SILENT_FOR = 30
"""Seconds that the end of a watch may be late."""
JSON = "application/json"

Object = dict[str, Any]
Query = Sequence[tuple[str, str]]


class Refused(Exception):
    """The API server refuses a request. The text is one line, without headers: they can hold credentials.

    Attributes:
        status: The HTTP status.
        message: Why, in the words of the server.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message


def was_refused(error: Exception, status: int) -> bool:
    """Whether an error comes of a refusal by the API server with this HTTP status."""
    return isinstance(error.__cause__, Refused) and error.__cause__.status == status


class Server:
    """An API server. To be used from the event loop that made it.

    Attributes:
        configuration: Its address and the credentials.
        patience: Seconds that it may be away. Once it has been away for longer, every request fails at once.
    """

    def __init__(self, configuration: Configuration, patience: float) -> None:
        self.configuration = configuration
        self.patience = patience
        self._away_since: float | None = None
        self._sockets = Sockets()
        self._client = client_of(ApiClient, configuration, self._sockets)

    async def request(
        self, method: str, path: str, query: Query = (), body: Any = None, content_type: str = JSON
    ) -> Object:
        """Make one request, and return the answer; raises Refused."""
        async with await self._call(method, path, query, body, content_type) as response:
            answer: Object = await response.json()
            return answer

    async def patiently(
        self, method: str, path: str, query: Query = (), body: Any = None, content_type: str = JSON
    ) -> Object:
        """Make a request that does no harm twice, again and again while the server is away; raises Refused."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(self.patience):
                    answer = await self.request(method, path, query, body, content_type)
            except (*UNREACHABLE, Refused) as error:
                if isinstance(error, Refused) and error.status not in PASSING:
                    raise
                self._away_since = self._away_since or clock()
                if clock() - self._away_since >= self.patience:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                self._away_since = None
                return answer

    async def read(self, path: str) -> Object | None:
        """Return one resource, or None if it does not exist; raises Refused."""
        try:
            return await self.patiently("GET", path)
        except Refused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def text(self, path: str, query: Query = ()) -> str:
        """Return an answer as text, e.g. a log; raises Refused."""
        async with await self._call("GET", path, query) as response:
            return str(await response.text(errors="replace"))

    async def events(self, path: str, selector: str, version: str) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield changes under a path until the server ends the watch or has forgotten that version; raises Refused."""
        query = [
            ("watch", "true"),
            ("resourceVersion", version),
            ("labelSelector", selector),
            ("timeoutSeconds", str(WATCHED_FOR)),
        ]
        try:
            response = await self._call("GET", path, query)
        except Refused as error:
            if error.status == TOO_OLD:
                return
            raise
        pending = b""
        try:
            while chunk := await _soon(response.content):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield event["type"], event["object"]
        finally:
            # The server would have to answer before an orderly close of TLS ends.
            if response.connection is not None and response.connection.transport is not None:
                response.connection.transport.abort()
            response.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._sockets.close()

    async def _call(
        self, method: str, path: str, query: Query, body: Any = None, content_type: str = JSON
    ) -> aiohttp.ClientResponse:
        with without_credentials():
            response: aiohttp.ClientResponse = await self._client.call_api(
                path,
                method,
                query_params=list(query),
                header_params={"Accept": JSON, "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
            )
        if response.status >= REFUSED:  # without preloading the client takes every answer for a good one
            async with response:
                raise Refused(response.status, _message(await response.text(errors="replace"), response.reason))
        return response


async def _soon(content: aiohttp.StreamReader) -> bytes:
    """More of a watch, empty at its end; TimeoutError if the connection is dead."""
    async with asyncio.timeout(WATCHED_FOR + SILENT_FOR):
        return await content.readany()


def _message(body: str, reason: str | None) -> str:
    """The message of a ``Status``; the reason of the status line if the answer is none, e.g. that of a proxy."""
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError):
        return reason or "(no reason)"
