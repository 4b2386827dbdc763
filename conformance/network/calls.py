"""Requests that a network policy decides about."""

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_meshcheck.suite import Exchange, MeshUnderTest, Via, Workload, control, expect

UNLISTED = {
    # port that the policy lists: one that it does not
    "http": "http-alt",
    "grpc": "tcp",
    "tcp": "grpc",
}
PATIENCE = 4.0
"""Seconds of a request that has to be refused: the second and third packet of a connection leave after 1 and 3 s."""
RATE = 20
"""Requests per second of a load: a refused one is under way for as long as its client is patient."""
ENOUGH = 20
"""Requests of a load before something happens to the network, and after it."""


@dataclass(frozen=True, eq=False)
class Call:
    """A request that a network policy decides about.

    Attributes:
        caller: Who sends it.
        server: Whom it is for.
        port: The name of the server's port.
        via: How the server is addressed.
    """

    caller: Workload
    server: Workload
    port: str = "http"
    via: Via = Via.SERVICE

    def __str__(self) -> str:
        return f"{self.caller} to port {self.port} of {self.server} by {self.via}"


def calls(callers: Iterable[Workload], servers: Iterable[Workload], *ports: str) -> list[Call]:
    """Each of the callers to each of the ports of each of the servers, by service and by address."""
    return [Call(*one) for one in itertools.product(callers, servers, ports, Via)]


async def made(mesh: MeshUnderTest, calls: Iterable[Call]) -> dict[Call, Exchange]:
    """What becomes of these calls, made at once."""
    listed, patience = list(calls), PATIENCE * mesh.scale
    seen = await asyncio.gather(*(one.caller.get(one.server, one.port, one.via, patience=patience) for one in listed))
    return dict(zip(listed, seen, strict=True))


async def all_are_served(mesh: MeshUnderTest, calls: Iterable[Call]) -> None:
    """Control: without a policy each of these calls is served."""
    for call, seen in (await made(mesh, calls)).items():
        control(seen, f"{call} without a policy").answered()


def all_are_answered(seen: Mapping[Call, Exchange]) -> None:
    """Each of these requests was answered."""
    for call, exchange in seen.items():
        expect(exchange, str(call)).answered()


async def all_are_refused(mesh: MeshUnderTest, seen: Mapping[Call, Exchange]) -> None:
    """None of these requests got through, and none of them reached the application."""
    for call, exchange in seen.items():
        arrived = await call.server.attempts(exchange)
        expect(exchange, str(call)).refused(mesh.documented.network.refused_as, arrived=arrived)
