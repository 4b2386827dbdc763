"""The connection that all clients share."""

import asyncio
import socket

import pytest

from pytest_meshcheck.probe.client.connection import Plain

pytestmark = pytest.mark.asyncio


async def test_who_gives_up_just_when_something_comes_loses_nothing() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with Plain(ours) as plain, theirs:
        waiting = asyncio.create_task(plain.receive())
        await asyncio.sleep(0)
        theirs.send(b"late")
        # In one turn of the event loop: it looks at sockets first, and then at timers.
        asyncio.get_running_loop().call_later(0, waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(20):
            assert await plain.receive() == b"late"
