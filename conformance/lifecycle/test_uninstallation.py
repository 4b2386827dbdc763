"""What remains of a mesh once it is gone."""

import pytest

from pytest_meshcheck.suite import (
    SHOULD,
    Capability,
    MeshUnderTest,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    slow,
)

WHERE = ("cluster-wide", "in-namespaces", "on-nodes")
GONE_WITHIN = 60.0
"""Seconds until controllers of the cluster have cleared up after what was deleted."""

LOOKED_AT_EVERY = 3.0


@pytest.mark.parametrize("where", WHERE)
@slow
@check(SHOULD, "lifecycle.uninstallation", uses={Capability.KUBERNETES})
async def test_uninstall_leaves_nothing(mesh: MeshUnderTest, where: str) -> None:
    """A cluster of its own has, once the mesh is uninstalled from it, nothing that it did not have before.

    That goes for resources of the cluster and of its namespaces; on nodes for files, interfaces, rules of packet
    filters and routing rules.
    """
    from pytest_meshcheck.suite import spare_cluster  # noqa: PLC0415 - it loads the clients of Kubernetes

    async with spare_cluster(mesh) as spare:

        async def added() -> list[str]:
            return sorted((await spare.inventory())[where] - before[where])

        before = await spare.at_rest()
        await spare.install()
        async with spare.mesh.deploy(WorkloadSpec("blue", "enrolled")):
            brought = len(await added())
        await spare.uninstall()
        left, _ = await converge(added, lambda left: not left, GONE_WITHIN * mesh.scale, every=LOOKED_AT_EVERY)
    mesh.measure("things installed", brought)
    if where == "cluster-wide":
        control(brought, "things that the installation brings").at_least(1)
    expect(left, "left after the uninstallation").equals([])
