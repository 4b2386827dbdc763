"""The embedded mesh with a relay behind strict ports that passes plaintext on, and keeps the answers to itself."""

import asyncio
from collections.abc import Mapping

from pytest_meshcheck.model.workload_spec import Address
from tests.falsify import parts
from tests.falsify.defect import Resources
from tests.falsify.meshes.relays import CHUNK, Relay, WithRelays

CLUSTER = "withheld"


class Withholding(Relay):
    """Passes bytes on to an application; once that answers, it ends the connection to the caller."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, to_application = await asyncio.open_connection(*self.application)
        passing = asyncio.create_task(_pass_on(reader, to_application))
        await answers.read(CHUNK)
        writer.close()
        passing.cancel()
        to_application.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)


class AnswersWithheld(WithRelays):
    """On strict ports plaintext reaches the application, whose answer does not come back."""

    relay = Withholding

    def alter(self, resources: Resources, relays: Mapping[str, Address]) -> None:
        for listener in parts.inbound(resources):
            if not parts.plaintext_chains(listener):
                name = f"{CLUSTER}.{parts.port_of(listener)}"
                parts.add_plaintext_chain(listener, [parts.tcp_proxy(name)])
                resources["clusters"].append(_cluster(name, relays[parts.port_of(listener)]))


def _cluster(name: str, address: Address) -> dict[str, object]:
    host, port = address
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": assignment}
