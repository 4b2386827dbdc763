"""What a network policy decides by: the labels of running workloads, and the nodes that calls come from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import NetworkPolicy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, WorkloadSpec
from pytest_meshcheck.platforms.base import Distributed, Relabelling
from pytest_meshcheck.testbed.mesh import MeshUnderTest

KUBELET = 10250
"""Its port: https://kubernetes.io/docs/reference/networking/ports-and-protocols/."""


@asynccontextmanager
async def labelled_as(mesh: MeshUnderTest, workload: Workload, other: Workload) -> AsyncIterator[None]:
    """Give a workload the labels of another one while the block runs.

    Network policies go by these labels; services and deployments do not. If the other one is in another namespace, the
    workload also bears labels that claim this namespace, which no network may believe.

    Raises:
        Unsupported: The workloads of this platform have no labels that could change.
        Inconclusive: The API server rejects it.
    """
    platform = mesh.platform
    if not isinstance(platform, Relabelling):
        raise Unsupported(f"the workloads on {platform} have no labels that could change")
    with mesh.journal.action("labels", f"{workload} as {other}"):
        await platform.relabel(workload, other.spec)
    try:
        yield
    finally:
        with mesh.journal.action("labels", f"{workload} as before"):
            await platform.relabel(workload, workload.spec)


@asynccontextmanager
async def host_of(mesh: MeshUnderTest, workload: Workload) -> AsyncIterator[Workload]:
    """A caller on the node of a workload, in the network of the node, while the block runs.

    Raises:
        Unsupported: The platform has no nodes.
        Inconclusive: The caller cannot be started.
    """
    host = await _nodes(mesh).host(workload)
    host.before_call = mesh.policies.before_call
    try:
        yield host
    finally:
        await host.polls.close()


def kubelet_of(mesh: MeshUnderTest, workload: Workload) -> Address:
    """The address of the kubelet of a workload's node, which answers HTTP without TLS with 400.

    Raises:
        Unsupported: The platform has no nodes.
    """
    return _nodes(mesh).node_address(workload), KUBELET


async def insist_on_two_nodes(mesh: MeshUnderTest) -> None:
    """Raise Unsupported unless two nodes accept workloads."""
    await _nodes(mesh).insist_on_two_nodes()


def _nodes(mesh: MeshUnderTest) -> Distributed:
    if not isinstance(mesh.platform, Distributed):
        raise Unsupported(f"there are no nodes on {mesh.platform}")
    return mesh.platform


@asynccontextmanager
async def admitted_by_network(
    mesh: MeshUnderTest, server: Workload | WorkloadSpec, caller: Workload, ports: tuple[str, ...]
) -> AsyncIterator[None]:
    """Apply a NetworkPolicy that admits only this caller, and only to these ports of a server, while the block runs.

    It also lists the inbound port of data planes, as the documentation of some meshes requires. When the network
    enforces it, if at all, is unknown; the adapter of the mesh is not involved.

    Raises:
        Inconclusive: The API server rejects the NetworkPolicy.
    """
    from pytest_meshcheck.meshes.kubernetes.network_policies import network_policy  # noqa: PLC0415 - other runs need none

    number = mesh.documented.network.inbound_port
    manifest = network_policy(NetworkPolicy(server, (caller,), ports), (number,) if number else ())
    with mesh.journal.action("network policy", str(manifest["metadata"]["name"])):
        await mesh.platform.apply([manifest])
    try:
        yield
    finally:
        await mesh.platform.delete([manifest])
