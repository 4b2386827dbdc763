"""What dialling says of connections that end early."""

import asyncio
import select
import socket
import struct
from typing import Any

import pytest

from pytest_meshcheck.probe.client.connection import dial
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.protocol.messages import Ending, Request

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset."""


@pytest.mark.asyncio
async def test_a_connection_that_is_reset_before_the_probe_looks_at_it_is_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def connect_and_be_reset(sock: socket.socket, address: Any) -> None:
            await connect(sock, address)
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            accepted.close()
            hung_up = select.poll()
            hung_up.register(sock, select.POLLHUP)
            assert hung_up.poll(5000)

        monkeypatch.setattr(loop, "sock_connect", connect_and_be_reset)
        host, port = server.getsockname()
        with pytest.raises(Ended) as ended:
            await dial((host, port), ExchangeRecorder(Request(request_id="a", address=(host, port))))
    assert ended.value.ending is Ending.RESET
