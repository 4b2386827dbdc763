"""Workloads of the suite on the embedded mesh: real Envoy, no cluster."""

import pytest

from pytest_meshcheck.suite import MeshUnderTest, Mode, MutualTls, Workload


@pytest.mark.asyncio(loop_scope="session")
async def test_strict_mutual_tls_lets_members_in(
    mesh: MeshUnderTest, mesh_client: Workload, mesh_outsider: Workload, mesh_server: Workload
) -> None:
    async with mesh.policy(MutualTls(mesh_server, Mode.STRICT)):
        assert (await mesh_client.get(mesh_server)).status == 200
        assert (await mesh_outsider.get(mesh_server)).status is None
