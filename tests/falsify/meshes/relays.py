"""Relays that pass bytes on, in place of a sidecar or between it and the application."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.workload_spec import Address
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify.defect import Resources

CHUNK = 65536


@asynccontextmanager
async def relayed(listen: Address, forward: Address) -> AsyncIterator[asyncio.Event]:
    """Pass connections on while the block runs; yields what is set once there was one."""
    used, tasks = asyncio.Event(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        used.set()
        from_server, to_server = await asyncio.open_connection(*forward)
        for source, target in ((reader, to_server), (from_server, writer)):
            tasks.add(asyncio.create_task(copied(source, target)))

    server = await asyncio.start_server(connected, *listen, reuse_port=True)
    try:
        yield used
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes in one direction, to its end."""
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


class Relay(ABC):
    """Listens in the place of an application.

    Attributes:
        application: Where that listens.
    """

    def __init__(self, application: Address) -> None:
        self.application = application
        self._server: asyncio.Server | None = None

    async def listen(self) -> Address:
        """Where the sidecar has to connect in place of the application."""
        self._server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return host, port

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    @abstractmethod
    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""


class WithRelays(EnvoyMesh):
    """Has a relay for every port of a workload.

    Attributes:
        relay: The class of the relays.
    """

    relay: type[Relay]

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=self._published, timeout_scale=timeout_scale)
        self._relays: list[Relay] = []
        self._addresses: dict[tuple[str, str], Address] = {}

    async def admit(self, member: Member) -> None:
        for port in member.spec.ports if member.sidecar else ():
            relay = self.relay(member.application(port.name))
            self._relays.append(relay)
            self._addresses[str(member), port.name] = await relay.listen()
        await super().admit(member)

    async def uninstall(self) -> None:
        for relay in self._relays:
            relay.close()
        await super().uninstall()

    def alter(self, resources: Resources, relays: Mapping[str, Address]) -> None:
        """Have a sidecar use the relays of its workload, which are given by port."""
        raise NotImplementedError

    def _published(self, workload: str, resources: Resources) -> Resources:
        self.alter(resources, {port: one for (of, port), one in self._addresses.items() if of == workload})
        return resources
