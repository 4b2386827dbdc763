"""The embedded mesh with a relay between each sidecar and its application that keeps cancellations to itself."""

import asyncio

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.workload_spec import Address
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify.defect import Resources

PORTS = ("http", "grpc")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = 9
RST_STREAM = 3
CHUNK = 65536


class Relay:
    """Passes bytes on to an application, but no RST_STREAM and no end of a connection."""

    def __init__(self, application: Address) -> None:
        self._application = application
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def listen(self) -> Address:
        """Where the sidecar has to connect in place of the application."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return host, port

    def close(self) -> None:
        """Listen no more, and let go of every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_application, to_application = await asyncio.open_connection(*self._application)
        self._writers += [writer, to_application]
        for passing in (requests(reader, to_application), answers(from_application, writer)):
            self._tasks.append(asyncio.create_task(passing))


async def requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass requests on; the end of the connection is not."""
    start = await reader.read(len(PREFACE))
    writer.write(start)
    try:
        while start == PREFACE:
            head = await reader.readexactly(FRAME_HEAD)
            frame = head + await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] != RST_STREAM:
                writer.write(frame)
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass answers on."""
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
    writer.close()


class CancellationKept(EnvoyMesh):
    """Its servers work on for callers that have given up."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=self._through_relays, timeout_scale=timeout_scale)
        self._relays: list[Relay] = []
        self._addresses: dict[tuple[str, str], Address] = {}

    async def admit(self, member: Member) -> None:
        if member.sidecar:
            for port in PORTS:
                relay = Relay(member.application(port))
                self._relays.append(relay)
                self._addresses[str(member), f"inbound.{port}"] = await relay.listen()
        await super().admit(member)

    async def uninstall(self) -> None:
        for relay in self._relays:
            relay.close()
        await super().uninstall()

    def _through_relays(self, workload: str, resources: Resources) -> Resources:
        for cluster in resources["clusters"]:
            if address := self._addresses.get((workload, cluster["name"])):
                ((endpoint,),) = (one["lb_endpoints"] for one in cluster["load_assignment"]["endpoints"])
                host, port = address
                endpoint["endpoint"]["address"] = {"socket_address": {"address": host, "port_value": port}}
        return resources
