"""Whom a workload may connect to, as its network decides."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    EgressPolicy,
    MeshUnderTest,
    Workload,
    check,
    control,
    expect,
    kubelet_of,
)

from ..calls import PATIENCE, calls, made
from .decisions import UNLISTED, all_are_answered, all_are_refused, all_are_served

OVER_TLS_ONLY = 400
"""The answer of a kubelet to a request without TLS."""


@check(MUST, "network.egress", proves={Capability.NETWORK_POLICY})
async def test_egress_is_denied_by_default(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    outsider: Workload,
    server: Workload,
    server_in_green: Workload,
    far_server: Workload,
) -> None:
    """A workload whose egress a policy limits without a server connects to nobody, on no port.

    Nor does it connect to the kubelet of another node. Its neighbour connects as before.
    """
    to_kubelet = {"address": kubelet_of(mesh, far_server), "patience": PATIENCE * mesh.scale}
    everything, of_neighbour = (
        calls((caller,), (server, server_in_green, outsider), *UNLISTED) for caller in (client, second_client)
    )
    await all_are_served(mesh, (*everything, *of_neighbour))
    control(await client.get(server, **to_kubelet), "the kubelet").answered(OVER_TLS_ONLY)
    async with mesh.policy(EgressPolicy(client)):
        seen, as_before = await made(mesh, everything), await made(mesh, of_neighbour)
        kubelet = await client.get(server, **to_kubelet)
    await all_are_refused(mesh, seen)
    expect(kubelet, "a request to the kubelet").refused(mesh.documented.network.refused_as)
    all_are_answered(as_before)


@check(MUST, "network.egress", proves={Capability.NETWORK_POLICY})
async def test_egress_by_identity_and_port(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    client_in_green: Workload,
    server: Workload,
    server_in_green: Workload,
) -> None:
    """A workload connects to the listed port of the listed server alone.

    Each of three workloads has a policy of its own, which lists another port. A server of the same name in another
    namespace is not listed.
    """
    limited = tuple(zip((client, second_client, client_in_green), UNLISTED.items(), strict=True))
    listed = [call for caller, (port, _) in limited for call in calls((caller,), (server,), port)]
    unlisted = [
        call
        for caller, (port, other) in limited
        for call in (*calls((caller,), (server,), other), *calls((caller,), (server_in_green,), port))
    ]
    await all_are_served(mesh, (*listed, *unlisted))
    async with mesh.policy(*(EgressPolicy(caller, (server,), (port,)) for caller, (port, _) in limited)):
        served, seen = await made(mesh, listed), await made(mesh, unlisted)
    await all_are_refused(mesh, seen)
    all_are_answered(served)
