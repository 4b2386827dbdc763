"""A client of a stand-in sends, gets and raises what httpx does by itself."""

import gzip
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from pytest_meshcheck.probe.protocol.messages import REQUEST_ID_HEADER
from pytest_meshcheck.testbed.stand_in import httpx_transport

from .peer import Peer, listening
from .shop import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = b"HTTP/1.1 200 OK\r\n"
ZIPPED = gzip.compress(b"a" * 5000)
BINARY = bytes(range(256)) * 40

ANSWERS = {
    # case: what the server says, and what it does then
    "json": (OK + b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}', "close"),
    "repeated-headers": (OK + b"Set-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n", "close"),
    "binary": (OK + b"Content-Length: %d\r\n\r\n" % len(BINARY) + BINARY, "close"),
    "zipped": (OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED, "close"),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "close"),
    "until-closed": (OK + b"\r\nto the end", "close"),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", "close"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "close"),
    "latin-1": (OK + b"X-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n", "close"),
    "failure": (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy", "close"),
    "closed": (b"", "close"),
    "reset": (b"", "reset"),
    "silent": (b"", "stall"),
    "cut-short": (OK + b"Content-Length: 10\r\n\r\nabc", "close"),
    "no-http": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "close"),
}


async def seen(client: httpx.AsyncClient, url: str) -> object:
    """What comes of a request."""
    try:
        answer = await client.get(url, timeout=2.0)
    except httpx.TransportError as error:
        return type(error)
    return answer.status_code, answer.headers.raw, answer.content, dict(answer.cookies)


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_or_its_absence_is_what_httpx_has_on_a_connection_of_its_own(case: str, shop: Shop) -> None:
    async with listening(Peer(*ANSWERS[case])) as peer, httpx.AsyncClient(trust_env=False) as plain:
        url = f"http://127.0.0.1:{peer.port}/"
        assert await seen(shop.stand_in("shop/orders").http, url) == await seen(plain, url)


async def test_a_closed_port_is_an_error_of_connecting(shop: Shop) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(httpx.ConnectError, match=r"shop/orders to http://127.*: connect-refused, ") as refused:
            await shop.stand_in("shop/orders").http.get(url)
    assert str(refused.value.request.url) == url


async def three_pieces() -> AsyncIterator[bytes]:
    for piece in (b"one", b"two", b"three"):
        yield piece


REQUESTS: dict[str, dict[str, Any]] = {
    # case: what the client is asked for
    "get": {"method": "GET", "url": "/a/../b//c?x=%2F&y=1", "params": None},
    "json": {"method": "POST", "url": "/pay", "json": {"amount": 1, "to": "café"}},
    "form": {"method": "PUT", "url": "/form", "data": {"a": "1", "b": "&"}},
    "binary": {"method": "PATCH", "url": "/", "content": BINARY},
    "headers": {"method": "DELETE", "url": "/é", "headers": [("X-A", "1"), ("x-a", "2"), ("Host", "shop.example")]},
    "cookies": {"method": "GET", "url": "/", "headers": {"Cookie": "a=b"}},
    "empty-post": {"method": "POST", "url": "/"},
}


@pytest.mark.parametrize("case", REQUESTS)
async def test_a_request_is_what_httpx_sends_and_bears_an_id(case: str, shop: Shop) -> None:
    asked = dict(REQUESTS[case])
    async with listening(Peer(ANSWERS["empty"][0])) as peer, httpx.AsyncClient(trust_env=False) as plain:
        asked["url"] = f"http://127.0.0.1:{peer.port}{asked['url']}"
        await plain.request(**asked)
        expected = peer.heard
        await shop.stand_in("shop/orders").http.request(**asked)
    lines = peer.heard.split(b"\r\n")
    (mark,) = (line for line in lines if line.startswith(REQUEST_ID_HEADER.encode()))
    lines.remove(mark)
    assert b"\r\n".join(lines) == expected


async def test_a_body_that_is_made_while_it_is_sent_arrives_whole(shop: Shop) -> None:
    async with listening(Peer(ANSWERS["empty"][0])) as peer:
        await shop.stand_in("shop/orders").http.post(f"http://127.0.0.1:{peer.port}/", content=three_pieces())
    head, _, body = peer.heard.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"b\r\nonetwothree\r\n0\r\n\r\n"


async def test_a_redirect_is_followed_where_the_test_says_so_and_each_request_has_its_own_id(shop: Shop) -> None:
    orders = shop.stand_in("shop/orders")
    async with listening(Peer(ANSWERS["json"][0])) as there, listening(Peer(b"")) as here:
        here.said = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % there.port
        answer = await orders.http.get(f"http://127.0.0.1:{here.port}/", follow_redirects=True)
    assert answer.json() == {"a": 1}
    (before,) = answer.history
    assert before.extensions["exchange"].request_id != answer.extensions["exchange"].request_id


async def test_an_answer_that_is_too_long_to_be_handed_on_is_an_error(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx_transport, "LONGEST", 100)
    async with listening(Peer(*ANSWERS["binary"])) as peer:
        with pytest.raises(httpx.ReadError, match="the answer has 10240 bytes, a stand-in hands on 100"):
            await shop.stand_in("shop/orders").http.get(f"http://127.0.0.1:{peer.port}/")


async def test_tls_is_left_to_the_data_plane(shop: Shop) -> None:
    with pytest.raises(httpx.UnsupportedProtocol, match=r"https://payments/: a stand-in sends plain HTTP/1.1"):
        await shop.stand_in("shop/orders").http.get("https://payments/")


async def test_an_address_where_nobody_answers_is_a_timeout_of_connecting(shop: Shop) -> None:
    backlog = socket.socket()
    backlog.bind(("127.0.0.1", 0))
    backlog.listen(0)
    fillers = [socket.socket() for _ in range(3)]
    for one in fillers:
        one.setblocking(False)
        one.connect_ex(backlog.getsockname())
    try:
        with pytest.raises(httpx.ConnectTimeout):
            await shop.stand_in("shop/orders").http.get(
                f"http://127.0.0.1:{backlog.getsockname()[1]}/", timeout=httpx.Timeout(0.5)
            )
    finally:
        for one in (backlog, *fillers):
            one.close()
