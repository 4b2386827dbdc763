"""Restarts of nodes under load."""

from pytest_meshcheck.suite import Load, MeshUnderTest, Workload

BACK_WITHIN = 90.0
"""Seconds until callers reach a workload whose node has restarted; the control plane may have run there as well."""


async def restart_under_load(mesh: MeshUnderTest, server: Workload, *loads: Load) -> Workload:
    """Restart the node of a server; the loads count the requests to both of its instances."""
    for load in loads:
        await load.leave(server)
    again = await mesh.disruptions.restart_node(server)
    for load in loads:
        load.servers.append(again)
    return again
