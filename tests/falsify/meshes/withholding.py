"""The embedded mesh with a relay behind strict ports that passes plaintext on, and keeps the answers to itself."""

import asyncio

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.workload_spec import Address
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify import parts
from tests.falsify.defect import Resources

CHUNK = 65536
CLUSTER = "withheld"


class Withholding:
    """Passes bytes on to an application; once that answers, it ends the connection to the caller."""

    def __init__(self, application: Address) -> None:
        self._application = application
        self._server: asyncio.Server | None = None

    async def listen(self) -> Address:
        """Where the sidecar has to connect in place of the application."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return host, port

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, to_application = await asyncio.open_connection(*self._application)
        passing = asyncio.create_task(_pass_on(reader, to_application))
        await answers.read(CHUNK)
        writer.close()
        passing.cancel()
        to_application.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)


class AnswersWithheld(EnvoyMesh):
    """On strict ports plaintext reaches the application, whose answer does not come back."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=self._through_relays, timeout_scale=timeout_scale)
        self._relays: list[Withholding] = []
        self._addresses: dict[tuple[str, str], Address] = {}

    async def admit(self, member: Member) -> None:
        for port in member.spec.ports if member.sidecar else ():
            relay = Withholding(member.application(port.name))
            self._relays.append(relay)
            self._addresses[str(member), port.name] = await relay.listen()
        await super().admit(member)

    async def uninstall(self) -> None:
        for relay in self._relays:
            relay.close()
        await super().uninstall()

    def _through_relays(self, workload: str, resources: Resources) -> Resources:
        for listener in parts.inbound(resources):
            if not parts.plaintext_chains(listener):
                name = f"{CLUSTER}.{parts.port_of(listener)}"
                parts.add_plaintext_chain(listener, [parts.tcp_proxy(name)])
                resources["clusters"].append(_cluster(name, self._addresses[workload, parts.port_of(listener)]))
        return resources


def _cluster(name: str, address: Address) -> dict[str, object]:
    host, port = address
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": assignment}
