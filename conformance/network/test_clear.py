"""What a network that encrypts between nodes leaves in the clear by design."""

from pytest_meshcheck.suite import MAY, Capability, MeshUnderTest, Placement, Workload, WorkloadSpec, check, host_of

from ..mtls.canaries import send_canaries


@check(MAY, "network.clear-by-design", uses={Capability.NODE_ENCRYPTION})
async def test_clear_by_design_is_recorded(mesh: MeshUnderTest, client: Workload, far_server: Workload) -> None:
    """Records what can be read between two workloads on one node, and between a node and a workload on another one.

    The former is captured on that node, the latter between the nodes.
    """
    beside = WorkloadSpec("blue", "beside", placement=Placement(client.spec, same_node=True))
    async with host_of(mesh, client) as host, mesh.deploy(beside) as near:
        async with mesh.wire(client, near.service) as wire:
            canaries = await send_canaries(client, near.service, "http")
            on_one_node = await wire.look_for(*canaries)
        async with mesh.wire_between_nodes(client, far_server) as wire:
            canaries = await send_canaries(host, far_server, "http")
            of_node = await wire.look_for(*canaries)
    mesh.measure("texts that could be read on one node", f"{len(on_one_node.found)} of {len(canaries)}")
    mesh.measure("texts of a node that could be read", f"{len(of_node.found)} of {len(canaries)}")
