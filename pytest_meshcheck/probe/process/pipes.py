"""Streams of asyncio over two pipes."""

import asyncio
from typing import BinaryIO

READ_AHEAD = 1 << 20
"""The maximum number of bytes that a stream of commands or replies reads ahead."""


async def streams(incoming: BinaryIO, outgoing: BinaryIO) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A reader of one pipe and a writer to the other, which close them."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_AHEAD)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), incoming)
    transport, closing = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), outgoing
    )
    return reader, asyncio.StreamWriter(transport, closing, None, loop)
