"""No connection to an API server outlives its event loop, whether or not the server has closed its end of TLS."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.model.pki import Issuer, key_pem, pem
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

VERSION = b'{"gitVersion": "v1.34.4"}'
EVENT = b'{"type": "ADDED", "object": {}}\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWERS = {
    "kept": HEAD + b"Content-Length: 25\r\n\r\n" + VERSION,
    "not used again": HEAD + b"Connection: close\r\nContent-Length: 25\r\n\r\n" + VERSION,
    "watched": HEAD + b"Transfer-Encoding: chunked\r\n\r\n20\r\n" + EVENT + b"\r\n",
}


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    root, path = Issuer.self_signed("root"), tmp_path / "server.pem"
    path.write_bytes(key_pem(root.key) + pem(root.certificate))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path)
    return made


@pytest.fixture
def served(context: ssl.SSLContext, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that gives one answer to each client, and never closes a connection."""
    held: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_all, args=(listener, context, ANSWERS[request.param], held))
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for one in held:
        one.close()


def answer_all(listener: Any, context: Any, answer: Any, held: Any) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        held.append(context.wrap_socket(client, server_side=True))
        held[-1].recv(1 << 16)
        with contextlib.suppress(OSError):
            held[-1].sendall(answer)


async def ask(port: int, *, watch: bool) -> None:
    configuration = Configuration(host=f"https://127.0.0.1:{port}")
    configuration.verify_ssl = False
    api = Api(configuration, patience=5.0)
    if watch:
        async with aclosing(api.events("/api/v1/pods", "", "1")) as events:
            assert await anext(events) == ("ADDED", {})
    else:
        assert await api.version() == "v1.34.4"
    await api.close()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("served", ANSWERS, indirect=True)
def test_none_is_left(served: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", left.append)
    asyncio.run(ask(served, watch="watched" in request.node.name))
    gc.collect()
    assert not left
