"""Captures what two nodes send each other, on the interface of each that leads to the other."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import CaptureResult
from pytest_meshcheck.platforms.kubernetes.workloads.running import Running
from pytest_meshcheck.platforms.recording import Recording
from pytest_meshcheck.probe.controller import Probe

ALL_PORTS = "between nodes"


@dataclass(frozen=True)
class NodePath:
    """The captures on both nodes; bytes that either of them saw were there.

    Attributes:
        client: The workload that sends requests.
        server: The workload that they go to.
        near: The capture on the client's node, which knows the direction of each packet.
        far: The capture on the server's node.
    """

    client: str
    server: str
    near: Recording
    far: Recording

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Search both captures so far."""
        near, far = await self.near.look_for(needles), await self.far.look_for(needles)
        return CaptureResult(
            connections=near.connections,
            bytes_to_server=near.bytes_to_server,
            bytes_to_client=near.bytes_to_client,
            found=tuple(needle for needle in needles if needle in {*near.found, *far.found}),
            excerpt=near.excerpt,
        )


@asynccontextmanager
async def watched_between_nodes(
    client: Running, server: Running, watchers: Mapping[str, Probe]
) -> AsyncIterator[NodePath]:
    """Capture while the block runs; ``watchers`` are the privileged probes by node.

    Raises:
        Inconclusive: Both workloads run on one node, or packets cannot be captured.
    """
    if client.node == server.node:
        raise Inconclusive(f"{client.spec} and {server.spec} both run on the node {client.node}: this takes two nodes")
    pods = (client.address, server.address)
    async with AsyncExitStack() as stack:
        captures = []
        for here, there in ((client, server), (server, client)):
            capture = Recording(str(client.spec), str(server.spec), ALL_PORTS, watchers[here.node])
            await capture.watch_outward(there.node_address, pods)
            stack.push_async_callback(capture.end)
            captures.append(capture)
        yield NodePath(str(client.spec), str(server.spec), *captures)
