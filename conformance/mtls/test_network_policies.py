"""Network policies of the cluster for workloads that are in the mesh."""

import pytest

from pytest_meshcheck.suite import (
    MAY,
    Capability,
    Enrolment,
    Exchange,
    MeshUnderTest,
    Unsupported,
    Via,
    Workload,
    WorkloadSpec,
    admitted_by_network,
    check,
    control,
    converge,
)

LISTED, UNLISTED = "http", "http-alt"
PATIENCE = 4.0
"""Seconds of a request that the network may refuse: a connection is tried again after 1 and 3 s."""

ENFORCED_WITHIN = 30.0
"""Seconds until the network enforces a new policy, if it enforces any."""


async def becomes_refused(mesh: MeshUnderTest, outsider: Workload, server: Workload) -> bool:
    """Whether an outsider comes to be refused on the port that a policy does not list."""

    async def call() -> Exchange:
        return await outsider.get(server, UNLISTED, patience=PATIENCE * mesh.scale)

    seen, _ = await converge(call, lambda seen: not seen.served, ENFORCED_WITHIN * mesh.scale)
    return not seen.served


@pytest.mark.parametrize("via", Via)
@check(
    MAY,
    "mtls.network-policy",
    uses={Capability.KUBERNETES, Capability.MTLS, Capability.PROXY_RESTART},
    disruptive=True,
)
async def test_network_policy_still_holds(
    mesh: MeshUnderTest, client: Workload, second_client: Workload, outsider: Workload, via: Via
) -> None:
    """A NetworkPolicy admits one enrolled caller to one port; what it and another one reach is recorded.

    That goes for new connections: a network policy does not end open ones, so the data plane of the workload is
    restarted. Where data planes connect to a port of their own, which the documentation has the policy list as well,
    the network cannot tell one port of the workload from another. Where a proxy of the service is in between, the
    network takes that for the caller.
    """
    async with (
        mesh.deploy(WorkloadSpec("grey", "guarded", Enrolment.UNENROLLED)) as outside,
        mesh.deploy(WorkloadSpec("blue", "guarded", calls=False)) as inside,
        admitted_by_network(mesh, inside.service, client, (LISTED,)),
        admitted_by_network(mesh, outside.service, outsider, (LISTED,)),
    ):
        server = inside.service
        if not await becomes_refused(mesh, outsider, outside.service):
            raise Unsupported("the network of this cluster enforces no network policies")
        control(await outsider.get(outside.service, LISTED), "the listed port outside of the mesh").answered()
        enforced = await becomes_refused(mesh, outsider, server)
        control(enforced, "the policy").is_true(
            otherwise="an outsider is admitted to the enrolled workload all the while"
        )
        await mesh.disruptions.restart_data_plane(server)

        async def fate(caller: Workload, port: str) -> str:
            exchange = await caller.get(server, port, via, patience=PATIENCE * mesh.scale)
            return "served" if await server.attempts(exchange) else "refused"

        admitted, _ = await converge(
            lambda: fate(client, LISTED), lambda seen: seen == "served", ENFORCED_WITHIN * mesh.scale
        )
        mesh.measure("the listed port is", admitted)
        mesh.measure("another port is", await fate(client, UNLISTED))
        mesh.measure("another caller is", await fate(second_client, LISTED))
