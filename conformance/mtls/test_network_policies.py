"""Kubernetes network policies for enrolled workloads."""

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
"""The time limit of a request in seconds; a blocked connection is retried after 1 and 3 s."""

ENFORCED_WITHIN = 30.0
"""Seconds that the network may take to enforce a new policy."""


async def becomes_refused(mesh: MeshUnderTest, outsider: Workload, server: Workload) -> bool:
    """Whether the network starts to refuse an outsider on the unlisted port."""

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
    """Records which ports and callers a NetworkPolicy still blocks between enrolled workloads.

    The policy admits one caller to one port, and to the inbound port of data planes if they have one; with that port
    listed, the network may not tell application ports apart. If a proxy of the service forwards the request, the
    network sees the proxy as the caller. The data plane of the server is restarted first, because a network policy does
    not close established connections.
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
            otherwise=f"an outsider is still served after {ENFORCED_WITHIN * mesh.scale:.0f} s"
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
