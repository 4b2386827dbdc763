"""Whom a workload may connect to, as its network decides."""

import pytest

from pytest_meshcheck.suite import MUST, Capability, EgressPolicy, MeshUnderTest, Workload, check, expect

from .calls import UNLISTED, all_are_refused, all_are_served, calls, made


@check(MUST, "network.egress", proves={Capability.NETWORK_POLICY})
async def test_egress_is_denied_by_default(
    mesh: MeshUnderTest, client: Workload, outsider: Workload, server: Workload, server_in_green: Workload
) -> None:
    """A workload whose egress a policy limits without a server connects to nobody, on no port."""
    everything = calls((client,), (server, server_in_green, outsider), *UNLISTED)
    await all_are_served(mesh, everything)
    async with mesh.policy(EgressPolicy(client)):
        seen = await made(mesh, everything)
    await all_are_refused(mesh, seen)


@pytest.mark.parametrize("port", UNLISTED)
@check(MUST, "network.egress", proves={Capability.NETWORK_POLICY})
async def test_egress_by_identity_and_port(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    server: Workload,
    server_in_green: Workload,
    port: str,
) -> None:
    """A workload connects to the listed port of the listed server alone; its neighbour connects as before.

    A server of the same name in another namespace is not listed.
    """
    listed, unlisted = calls((client,), (server,), port), calls((client,), (server,), UNLISTED[port])
    twins, of_neighbour = calls((client,), (server_in_green,), port), calls((second_client,), (server,), UNLISTED[port])
    await all_are_served(mesh, (*listed, *unlisted, *twins, *of_neighbour))
    async with mesh.policy(EgressPolicy(client, (server,), (port,))):
        served = await made(mesh, (*listed, *of_neighbour))
        seen = await made(mesh, (*unlisted, *twins))
    await all_are_refused(mesh, seen)
    for call, exchange in served.items():
        expect(exchange, str(call)).answered()
