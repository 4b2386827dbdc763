"""Streams of asyncio over two pipes."""

import asyncio
from typing import BinaryIO

LIMIT = 1 << 20
"""Bytes that are read ahead at most."""


async def streams(incoming: BinaryIO, outgoing: BinaryIO) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """What reads one pipe and what writes to the other; they close them."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), incoming)
    transport, closing = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), outgoing
    )
    return reader, asyncio.StreamWriter(transport, closing, None, loop)
