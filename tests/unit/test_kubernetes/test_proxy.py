"""An API server is reached as kubectl would reach it: through a proxy or past it."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api import resources
from pytest_meshcheck.platforms.kubernetes.api.proxy import proxy_to
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor

PROXY = "http://proxy.test:3128"
NOBODY = "http://127.0.0.1:9"
VERSION = b'{"gitVersion": "v1.34.4"}'
ANSWER = (
    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(VERSION)}\r\n\r\n".encode() + VERSION
)

WAYS = {
    # server: NO_PROXY, the proxy that leads there
    "https://cluster.test:6443": ("", PROXY),
    "https://localhost:6443": ("", None),
    "https://127.0.0.1:6443": ("", None),
    "https://127.8.9.10:6443": ("", None),
    "https://[::1]:6443": ("", None),
    "https://10.1.2.3:6443": ("10.0.0.0/8", None),
    "https://10.1.2.4:6443": ("11.0.0.0/8, not-a-network", PROXY),
    "https://10.1.2.5:6443": ("10.1.2.5", None),
    "https://[fd00::1]:6443": ("fd00::/8", None),
    "https://one.cluster.test": ("cluster.test", None),
    "https://two.cluster.test": (".cluster.test", None),
    "https://cluster.test:443": ("cluster.test:6443", PROXY),
    "https://cluster.test:8443": ("other.test, cluster.test:8443", None),
    "https://three.cluster.test": ("*", None),
    "http://cluster.test": ("", None),
}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine's own proxies are."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers everything with this; it yields its URL and the first lines that it was sent."""
    lines: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.append(head.splitlines()[0])
        lines.extend(line for line in head.splitlines() if line.lower().startswith("proxy-authorization"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}", lines


@pytest.mark.parametrize("server", WAYS)
def test_the_way_is_that_of_kubectl(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    excepted, proxy = WAYS[server]
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_to(server) == proxy


def test_a_proxy_without_a_scheme_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.test:3128")
    assert proxy_to("https://cluster.test") == PROXY


@pytest.mark.asyncio
async def test_a_server_on_loopback_is_reached_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    async with listening(ANSWER) as (url, _):
        api = Api(Configuration(host=url), 1.0)
        assert await api.version() == "v1.34.4"
        await api.close()


@pytest.mark.asyncio
async def test_requests_and_streams_to_others_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(ANSWER) as (url, lines):
        monkeypatch.setenv("HTTP_PROXY", url.replace("//", "//user:secret@"))
        configuration = Configuration(host="http://cluster.test:8001")
        api, executor = Api(configuration, 1.0), Executor(configuration)
        assert await api.version() == "v1.34.4"
        with pytest.raises(ConnectionError):
            await executor.open("blue", "client", "probe", ["true"])
        await executor.close()
        await api.close()
    asked, credentials, streamed, again = lines
    assert asked == "GET http://cluster.test:8001/version HTTP/1.1"
    assert "://cluster.test:8001/api/v1/namespaces/blue/pods/client/exec?" in streamed
    assert credentials == again == "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="


@pytest.mark.asyncio
async def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n") as (url, _):
        monkeypatch.setenv("HTTPS_PROXY", url.replace("//", "//user:secret@"))
        api = Api(Configuration(host="https://cluster.test:6443"), 1.0)
        with pytest.raises(MeshUnavailable, match=f"the proxy {url} answers 407 Who are you; ") as refused:
            await api.version()
    assert "secret" not in str(refused.value)
    await api.close()


REQUESTS: dict[str, Callable[[Api, Executor], Awaitable[object]]] = {
    # what: how
    "request": lambda api, _: api.request("GET", "/version"),
    "text": lambda api, _: api.text("/api/v1/namespaces/blue/pods/client/log"),
    "exec": lambda _, executor: executor.open("blue", "client", "probe", ["true"]),
    "port-forward": lambda _, executor: executor.forward("blue", "client", 80),
}


@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.asyncio
async def test_no_error_quotes_the_password_of_a_proxy(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as (url, lines):
        monkeypatch.setenv("HTTPS_PROXY", url.replace("//", "//user:secret@"))
        configuration = Configuration(host="https://cluster.test:6443")
        api, executor = Api(configuration, 1.0), Executor(configuration)
        with pytest.raises(UNREACHABLE, match=f"the proxy {url} answers 503 Busy") as refused:
            await REQUESTS[what](api, executor)
        await executor.close()
        await api.close()
    assert lines[0] == "CONNECT cluster.test:6443 HTTP/1.1"
    assert "secret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("proxy", ["user:se/cret@127.0.0.1:9", "user:secret@127.0.0.1:port", "user:secret@:9"])
@pytest.mark.asyncio
async def test_a_proxy_without_a_valid_url_is_not_quoted(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
    with pytest.raises(MeshUnavailable, match=r"the proxy to the API server https://cluster\.test has no ") as refused:
        Api(Configuration(host="https://cluster.test"), 1.0)
    assert "cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.asyncio
async def test_a_proxy_that_leads_nowhere_is_named_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "REACHABLE_WITHIN", 5.0)
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    api = Api(Configuration(host="http://cluster.test:8001"), 1.0)
    said = r"http://cluster.test:8001 cannot be reached through the proxy http://127.0.0.1:9: .*NO_PROXY=cluster.test "
    with pytest.raises(MeshUnavailable, match=said) as refused:
        await api.version()
    assert "secret" not in str(refused.value)
    await api.close()


@pytest.mark.asyncio
async def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://user:secret@127.0.0.1:9")
    with pytest.raises(MeshUnavailable, match=r"the proxy socks5://127.0.0.1:9 to the API server http://cluster.test "):
        Api(Configuration(host="http://cluster.test"), 1.0)
