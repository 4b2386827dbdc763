"""Leftovers of an uninstalled mesh."""

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

NODES = "on-nodes"
WHERE = ("cluster-wide", "in-namespaces", NODES)
CLEARED_WITHIN = 60.0
"""Seconds that garbage collection in the cluster may take."""

PAUSE = 3.0


@pytest.mark.parametrize("where", WHERE)
@slow
@check(SHOULD, "lifecycle.uninstallation", uses={Capability.KUBERNETES})
async def test_uninstall_leaves_nothing(mesh: MeshUnderTest, where: str) -> None:
    """Installing the mesh in a fresh cluster, enrolling a workload and uninstalling it leaves nothing behind.

    That covers cluster-wide and namespaced resources, and on nodes files, interfaces, packet filter rules and routing
    rules.
    """
    from pytest_meshcheck.suite import spare_cluster  # noqa: PLC0415 - it loads the clients of Kubernetes

    async with spare_cluster(mesh) as spare:
        before = (await spare.stable_inventory())[where]

        async def added() -> list[str]:
            return sorted((await spare.inventory())[where] - before)

        await spare.install()
        installed = len(await added())
        async with spare.mesh.deploy(WorkloadSpec("blue", "enrolled")):
            pass
        await spare.uninstall()
        left, _ = await converge(added, lambda left: not left, CLEARED_WITHIN * mesh.scale, every=PAUSE)
    mesh.measure("entries added by the installation", installed)
    if where != NODES:  # most meshes with sidecars change no nodes
        control(installed, "entries added by the installation").at_least(1)
    expect(left, "left after the uninstallation").equals([])
