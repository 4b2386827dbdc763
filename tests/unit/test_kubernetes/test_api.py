"""Requests to an API server: outlasting its absence, and what a refusal says."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Refused

KINDS = b'{"resources": [{"name": "services", "kind": "Service", "namespaced": true}]}'
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "namespace": "new"}}
BEHIND = b'{"message": "admission webhook \\"injector\\" denied the request: namespaces \\"new\\" not found"}'
DENIED = b'{"message": "admission webhook \\"policy\\" denied the request: no label team"}'
LIST = b'{"items": [{"metadata": {"name": "one"}}], "metadata": {"resourceVersion": "7"}}'
pytestmark = pytest.mark.asyncio

PATH = "/api/v1/pods"


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@asynccontextmanager
async def served(port: int, *answers: int | tuple[int, bytes]) -> AsyncIterator[list[int]]:
    """A server that gives these answers one after the other; it yields the statuses of those that it gave."""
    given: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        one = answers[min(len(given), len(answers) - 1)]
        status, body = (one, LIST) if isinstance(one, int) else one
        given.append(status)
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield given


def connected(port: int, patience: float) -> Api:
    """An API server at a port."""
    return Api(Configuration(host=f"http://127.0.0.1:{port}"), patience)


async def test_it_is_waited_for(port: int) -> None:
    api = connected(port, patience=30)
    asked = asyncio.create_task(api.items(PATH))
    await asyncio.wait({asked}, timeout=0.3)
    assert not asked.done()
    async with served(port, 503, 200) as given:
        items, version = await asked
    assert (items[0]["metadata"]["name"], version) == ("one", "7")
    assert given == [503, 200]
    await api.close()


async def test_what_it_refuses_is_not_asked_again(port: int) -> None:
    api = connected(port, patience=30)
    async with served(port, 403) as given:
        with pytest.raises(Refused):
            await api.items(PATH)
    assert given == [403]
    await api.close()


async def test_a_webhook_that_has_not_heard_of_a_new_namespace_is_asked_again(port: int) -> None:
    api = connected(port, patience=30)
    async with served(port, (200, KINDS), (400, BEHIND), (200, b"{}")) as given:
        assert await api.apply(SERVICE) == {}
    assert given == [200, 400, 200]
    await api.close()


async def test_a_webhook_that_denies_is_not_asked_again(port: int) -> None:
    api = connected(port, patience=30)
    async with served(port, (200, KINDS), (400, DENIED)) as given:
        with pytest.raises(Inconclusive, match=r"rejects Service new/one: 400 .* no label team"):
            await api.apply(SERVICE)
    assert given == [200, 400]
    await api.close()


async def test_one_that_stays_away_is_waited_for_once(port: int) -> None:
    api = connected(port, patience=1)
    clock = asyncio.get_running_loop().time
    begun = clock()
    with pytest.raises(aiohttp.ClientError):
        await api.items(PATH)
    assert (first := clock() - begun) >= 1
    with pytest.raises(aiohttp.ClientError):
        await api.items(PATH)
    assert clock() - begun - first < first
    await api.close()


async def test_a_refusal_is_an_error_of_one_line(port: int) -> None:
    api = connected(port, patience=30)
    denied = (403, b'{"kind": "Status", "message": "pods is forbidden"}')
    async with served(port, denied, (502, b"<html>a proxy</html>")):
        with pytest.raises(Refused, match=r"^403 pods is forbidden$"):
            await api.items(PATH)
        with pytest.raises(Refused, match=r"^502 OK$"):
            await api.read(f"{PATH}/one")
    await api.close()


async def test_a_dry_run_waits_for_a_server_that_is_away(port: int) -> None:
    api = connected(port, patience=30)
    async with served(port, 503, (201, b'{"spec": {}}')) as given:
        assert await api.created_dry(PATH, {"kind": "Pod"}) == {"spec": {}}
    assert given == [503, 201]
    await api.close()


async def test_no_answer_is_logged(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api = connected(port, patience=30)
    async with served(port, (200, b'{"data": {"ca-key": "c2VjcmV0"}}')):
        assert await api.read("/api/v1/namespaces/mesh/secrets/meshcheck") == {"data": {"ca-key": "c2VjcmV0"}}
    assert "c2VjcmV0" not in caplog.text
    await api.close()


async def test_a_group_that_is_not_there_has_no_kinds(port: int) -> None:
    api = connected(port, patience=30)
    async with served(port, 404, 403):
        assert not await api.knows("gateway.networking.k8s.io/v1", "HTTPRoute")
        with pytest.raises(Refused):
            await api.knows("gateway.networking.k8s.io/v1", "HTTPRoute")
    await api.close()
