"""What is asked of an API server that is away for a while."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from kubernetes_asyncio.client import ApiException, Configuration

from pytest_meshcheck.platforms.kubernetes.api import Api

LIST = b'{"items": [{"metadata": {"name": "one"}}], "metadata": {"resourceVersion": "7"}}'
pytestmark = pytest.mark.asyncio

PATH = "/api/v1/pods"


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@asynccontextmanager
async def served(port: int, *statuses: int) -> AsyncIterator[list[int]]:
    """A server that gives these statuses one after the other; it yields those that it gave."""
    given: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        given.append(statuses[min(len(given), len(statuses) - 1)])
        head = f"HTTP/1.1 {given[-1]} OK\r\nContent-Type: application/json\r\nContent-Length: {len(LIST)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + LIST)
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
        with pytest.raises(ApiException):
            await api.items(PATH)
    assert given == [403]
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


async def test_a_group_that_is_not_there_has_no_kinds(port: int) -> None:
    api = connected(port, patience=30)
    async with served(port, 404, 403):
        assert not await api.knows("gateway.networking.k8s.io/v1", "HTTPRoute")
        with pytest.raises(ApiException):
            await api.knows("gateway.networking.k8s.io/v1", "HTTPRoute")
    await api.close()
