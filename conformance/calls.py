"""Requests that a policy decides about."""

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_meshcheck.suite import Exchange, MeshUnderTest, Via, Workload

PATIENCE = 4.0
"""Seconds of a request that has to be refused: the second and third packet of a connection leave after 1 and 3 s."""


@dataclass(frozen=True, eq=False)
class Call:
    """A request that a policy decides about.

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
