"""Captures what two nodes send each other, on the interface of each that leads to the other."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import CaptureResult
from pytest_meshcheck.platforms.kubernetes.workloads.running import Running
from pytest_meshcheck.platforms.recording import Recording
from pytest_meshcheck.probe.capture.limits import EXCERPT
from pytest_meshcheck.probe.controller import Probe

ALL_PORTS = "between nodes"


@dataclass(frozen=True)
class NodePath:
    """The captures on one or both nodes; bytes that any of them saw were there.

    Attributes:
        client: The workload that sends requests.
        server: The workload that they go to.
        captures: The capture on the client's node and, unless that one is alone, the capture on the server's.
    """

    client: str
    server: str
    captures: Sequence[Recording]

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Search the captures so far."""
        near, *others = [await capture.look_for(needles) for capture in self.captures]
        found = set(near.found).union(*(other.found for other in others))
        excerpt = b"".join((near.excerpt, *(other.excerpt for other in others)))[:EXCERPT]
        found_in_order = tuple(needle for needle in needles if needle in found)
        return msgspec.structs.replace(near, found=found_in_order, excerpt=excerpt)


@asynccontextmanager
async def watched_between_nodes(
    client: Running, server: Running, watchers: Mapping[str, Probe], *, near_only: bool = False
) -> AsyncIterator[NodePath]:
    """Capture while the block runs; ``watchers`` are the privileged probes by node.

    With ``near_only`` nothing is captured on the server's node, which may restart meanwhile.

    Raises:
        Inconclusive: Both workloads run on one node, or packets cannot be captured.
    """
    if client.node == server.node:
        raise Inconclusive(f"{client.spec} and {server.spec} both run on the node {client.node}: this takes two nodes")
    pods = (client.address, server.address)
    async with AsyncExitStack() as stack:
        captures, ends = [], ((client, server), (server, client))
        for here, there in ends[:1] if near_only else ends:
            capture = Recording(str(client.spec), str(server.spec), ALL_PORTS, watchers[here.node])
            await capture.watch_outward(there.node_address, pods, alone=near_only)
            stack.push_async_callback(capture.end)
            captures.append(capture)
        yield NodePath(str(client.spec), str(server.spec), captures)
