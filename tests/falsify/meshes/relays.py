"""A relay that passes bytes on as they are, in place of a sidecar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pytest_meshcheck.model.workload_spec import Address

CHUNK = 65536


@asynccontextmanager
async def relayed(listen: Address, forward: Address) -> AsyncIterator[asyncio.Event]:
    """Pass connections on while the block runs; yields what is set once there was one."""
    used, tasks = asyncio.Event(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        used.set()
        from_server, to_server = await asyncio.open_connection(*forward)
        for source, target in ((reader, to_server), (from_server, writer)):
            tasks.add(asyncio.create_task(_copied(source, target)))

    server = await asyncio.start_server(connected, *listen, reuse_port=True)
    try:
        yield used
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
