"""What the network of the nodes does while it is upgraded, for a mesh that is such a network."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.policy import NetworkPolicy, Retry
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Placement, WorkloadSpec
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.upgrade_outcome import NetworkUnderUpgrade

RATE = 10
"""Requests per second of each load."""


@asynccontextmanager
async def network_under_upgrade(mesh: MeshUnderTest, client: Workload) -> AsyncIterator[NetworkUnderUpgrade]:
    """Observe the network while the block runs, as far as the mesh is that network; known when the block has ended.

    Raises:
        Inconclusive: A workload does not start, or the network cannot be captured.
    """
    seen = NetworkUnderUpgrade()
    async with AsyncExitStack() as stack:
        if mesh.claims(Capability.NETWORK_POLICY):
            await stack.enter_async_context(_decided(mesh, client, seen))
        if mesh.claims(Capability.NETWORK_POLICY) and mesh.claims(Capability.TIMEOUT):
            await stack.enter_async_context(_routed(mesh, client, seen))
        yield seen


@asynccontextmanager
async def _decided(mesh: MeshUnderTest, client: Workload, seen: NetworkUnderUpgrade) -> AsyncIterator[None]:
    outsider, canary = await mesh.workload("outsider"), secrets.token_hex(12)
    spec = WorkloadSpec("blue", "guarded", placement=Placement(client.spec, same_node=False))
    async with mesh.deploy(spec) as deployed:
        guarded = deployed.service
        async with (
            mesh.policy(NetworkPolicy(guarded, (client,), ("http",))),
            _captured(mesh, client, guarded, canary, seen),
            client.load(guarded, RATE, headers=(("x-canary", canary),)) as listed,
            outsider.load(guarded, RATE) as unlisted,
        ):
            yield
        seen.listed, seen.unlisted = listed.result, unlisted.result


@asynccontextmanager
async def _captured(
    mesh: MeshUnderTest, client: Workload, server: Workload, canary: str, seen: NetworkUnderUpgrade
) -> AsyncIterator[None]:
    if not mesh.claims(Capability.NODE_ENCRYPTION):
        yield
        return
    async with mesh.wire_between_nodes(client, server) as wire:
        yield
        seen.captured = await wire.look_for(canary)


@asynccontextmanager
async def _routed(mesh: MeshUnderTest, client: Workload, seen: NetworkUnderUpgrade) -> AsyncIterator[None]:
    """A route without retries puts a proxy in the path of requests, and changes nothing else."""
    async with mesh.deploy(WorkloadSpec("blue", "routed")) as deployed:
        async with mesh.policy(Retry(deployed.service, 0)), client.load(deployed.service, RATE) as load:
            yield
        seen.routed = load.result
