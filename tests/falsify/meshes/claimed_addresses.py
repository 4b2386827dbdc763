"""The embedded mesh that believes what a peer says of its address, and passes it on all the same."""

import asyncio
import re
from collections.abc import Mapping

from pytest_meshcheck.model.workload_spec import Address
from tests.falsify.defect import Resources
from tests.falsify.meshes.relays import CHUNK, Relay, WithRelays, copied

LINE = re.compile(rb"PROXY TCP4 (\S+) ")
SPOKEN_WITHIN = 0.5
"""Seconds; a peer that says nothing so long waits for the server."""
PORT = "tcp-banner"


class Obeying(Relay):
    """Connects to the application from the address that a line of the PROXY protocol claims."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await asyncio.wait_for(reader.read(CHUNK), SPOKEN_WITHIN)
        except TimeoutError:
            said = b""
        line = LINE.match(said)
        claimed = (line[1].decode(), 0) if line else None
        answers, to_application = await asyncio.open_connection(*self.application, local_addr=claimed)
        to_application.write(said)
        await asyncio.gather(copied(reader, to_application), copied(answers, writer))


class ClaimedAddressesBelieved(WithRelays):
    """Puts such relays in front of applications that speak first."""

    relay = Obeying

    def alter(self, resources: Resources, relays: Mapping[str, Address]) -> None:
        for cluster in resources["clusters"]:
            if cluster["name"] == f"inbound.{PORT}":
                (locality,) = cluster["load_assignment"]["endpoints"]
                (endpoint,) = locality["lb_endpoints"]
                host, port = relays[PORT]
                endpoint["endpoint"]["address"] = {"socket_address": {"address": host, "port_value": port}}
