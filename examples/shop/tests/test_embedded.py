"""Workloads of the suite on the embedded mesh: real Envoy, no cluster."""

from datetime import timedelta

import pytest

from pytest_meshcheck.suite import Issuer, MeshUnderTest, Mode, MutualTls, Validity, Workload

HOUR = timedelta(hours=1)


@pytest.mark.asyncio(loop_scope="session")
async def test_strict_mutual_tls_lets_members_in(
    mesh: MeshUnderTest, mesh_client: Workload, mesh_outsider: Workload, mesh_server: Workload
) -> None:
    async with mesh.policy(MutualTls(mesh_server, Mode.STRICT)):
        assert (await mesh_client.get(mesh_server)).status == 200
        assert (await mesh_outsider.get(mesh_server)).status is None


@pytest.mark.asyncio(loop_scope="session")
async def test_the_server_learns_who_calls(
    mesh: MeshUnderTest, mesh_client: Workload, mesh_second_client: Workload, mesh_server: Workload
) -> None:
    for caller in (mesh_client, mesh_second_client):
        (attempt,) = await mesh_server.attempts(await caller.get(mesh_server))
        assert mesh.peer_identity(attempt) == mesh.identity_of(caller)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_name_belongs_to_its_namespace(
    mesh: MeshUnderTest,
    mesh_server: Workload,
    mesh_client_in_green: Workload,
    mesh_server_in_green: Workload,
) -> None:
    answer = await mesh_client_in_green.get(mesh_server_in_green)
    assert len(await mesh_server_in_green.attempts(answer)) == 1
    assert not await mesh_server.attempts(answer)
    assert mesh.identity_of(mesh_server_in_green) != mesh.identity_of(mesh_server)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_member_calls_the_far_server(mesh_client: Workload, mesh_far_server: Workload) -> None:
    assert (await mesh_client.get(mesh_far_server)).status == 200


@pytest.mark.asyncio(loop_scope="session")
async def test_a_member_calls_a_server_outside_the_mesh(mesh_client: Workload, mesh_plain_server: Workload) -> None:
    assert (await mesh_client.get(mesh_plain_server)).status == 200


@pytest.mark.asyncio(loop_scope="session")
async def test_a_certificate_lives_for_less_than_an_hour(
    mesh: MeshUnderTest, mesh_outsider: Workload, mesh_short_lived: Workload
) -> None:
    leaf, *_ = await mesh.served_chain(mesh_outsider, mesh_short_lived)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc < HOUR


@pytest.mark.asyncio(loop_scope="session")
async def test_an_impostor_is_not_called(mesh: MeshUnderTest, mesh_client: Workload, mesh_impostor: Workload) -> None:
    identity = mesh.identity_of(mesh_impostor)
    await mesh.impersonate(mesh_impostor, mesh.authority.issue(identity, HOUR.total_seconds()))
    assert (await mesh_client.get(mesh_impostor)).status == 200
    await mesh.impersonate(mesh_impostor, Issuer.self_signed("stranger").leaf([identity], Validity.of(HOUR)))
    assert (await mesh_client.get(mesh_impostor)).status == 503
