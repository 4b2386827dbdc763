"""Requests that a policy decides about."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pytest_meshcheck.suite import (
    Exchange,
    MeshUnderTest,
    Placement,
    Via,
    Workload,
    WorkloadSpec,
    expect,
    host_of,
    insist_on_two_nodes,
)

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


async def deletion_acts(mesh: MeshUnderTest) -> None:
    """Expect a deleted policy to be out of effect within the documented time."""
    in_time = mesh.time(mesh.documented.follows_within)
    lingering = await mesh.lingering_policy()
    expect(not lingering, "a deleted policy to be out of effect", rests_on=in_time).is_true(otherwise=lingering)


@asynccontextmanager
async def calls_from_nodes(
    mesh: MeshUnderTest, server: Workload, *ports: str
) -> AsyncIterator[tuple[list[Call], list[Call]]]:
    """Calls by processes in the network of another node than a server's, and in that of its own, while the block runs.

    Raises:
        Unsupported: Only one node accepts workloads.
    """
    await insist_on_two_nodes(mesh)
    elsewhere = WorkloadSpec("blue", "elsewhere", placement=Placement(server.spec, same_node=False))
    async with mesh.deploy(elsewhere) as there, host_of(mesh, there.service) as other, host_of(mesh, server) as own:
        yield calls((other,), (server,), *ports), calls((own,), (server,), *ports)


def record_own_node(mesh: MeshUnderTest, seen: Mapping[Call, Exchange]) -> None:
    """Record how many calls from its own node a server has served."""
    served = sum(exchange.served for exchange in seen.values())
    mesh.measure("calls served from its own node", f"{served} of {len(seen)}")
