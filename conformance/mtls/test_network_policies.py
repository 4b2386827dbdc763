"""Kubernetes network policies for enrolled workloads."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace

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

OUTSIDE = WorkloadSpec("grey", "guarded", Enrolment.UNENROLLED)
INSIDE = WorkloadSpec("blue", "guarded", calls=False)
LISTED, UNLISTED = "http", "http-alt"
PATIENCE = 4.0
"""The time limit of a request in seconds; a blocked connection is retried after 1 and 3 s."""

ENFORCED_WITHIN = 15.0
"""Seconds that the network may take to enforce a new policy."""


async def becomes_refused(mesh: MeshUnderTest, outsider: Workload, server: Workload) -> bool:
    """Whether the network starts to refuse an outsider on the unlisted port."""

    async def call() -> Exchange:
        return await outsider.get(server, UNLISTED, patience=PATIENCE * mesh.scale)

    seen, _ = await converge(call, lambda seen: not seen.served, ENFORCED_WITHIN * mesh.scale)
    return not seen.served


async def fates(
    mesh: MeshUnderTest, client: Workload, second_client: Workload, server: Workload, via: Via
) -> Mapping[str, str]:
    """What becomes of calls to a server under the policy, once the listed call is served or has had its time."""

    async def fate(caller: Workload, port: str) -> str:
        exchange = await caller.get(server, port, via, patience=PATIENCE * mesh.scale)
        return "served" if await server.attempts(exchange) else "refused"

    admitted, _ = await converge(
        lambda: fate(client, LISTED), lambda seen: seen == "served", ENFORCED_WITHIN * mesh.scale
    )
    return {
        "the listed port is": admitted,
        "another port is": await fate(client, UNLISTED),
        "another caller is": await fate(second_client, LISTED),
    }


async def under_a_policy(mesh: MeshUnderTest) -> Mapping[Via, Mapping[str, str]]:
    """What becomes of calls under a network policy, for each way to address the server.

    The mesh does not know this policy, so new workloads of concurrent checks could not reach these servers.
    """
    client, second_client = await mesh.workload("client"), await mesh.workload("second_client")
    outsider = await mesh.workload("outsider")
    async with mesh.deploy(OUTSIDE) as deployed:
        outside = deployed.service
        async with admitted_by_network(mesh, outside, outsider, (LISTED,)):
            if not await becomes_refused(mesh, outsider, outside):
                raise Unsupported("the network of this cluster enforces no network policies")
            control(await outsider.get(outside, LISTED), "the listed port outside of the mesh").answered()
    inside = replace(INSIDE, namespace=client.namespace)
    async with admitted_by_network(mesh, inside, client, (LISTED,)), mesh.deploy(INSIDE, reached=False) as deployed:
        enforced = await becomes_refused(mesh, outsider, deployed.service)
        control(enforced, "the policy").is_true(
            otherwise=f"an outsider is still served after {ENFORCED_WITHIN * mesh.scale:.0f} s"
        )
        return {via: await fates(mesh, client, second_client, deployed.service, via) for via in Via}


@pytest.mark.parametrize("via", Via)
@check(
    MAY,
    "mtls.network-policy",
    uses={Capability.KUBERNETES, Capability.MTLS},
    head_start=under_a_policy,
    disruptive=True,
)
async def test_network_policy_still_holds(
    head_start: Awaitable[Mapping[Via, Mapping[str, str]]], mesh: MeshUnderTest, via: Via
) -> None:
    """Records which ports and callers a NetworkPolicy still blocks between enrolled workloads.

    The policy admits one caller to one port, and to the inbound port of data planes if they have one; with that port
    listed, the network may not tell application ports apart. If a proxy of the service forwards the request, the
    network sees the proxy as the caller. The server starts under the policy, which closes no established connection.
    """
    for what, fate in (await head_start)[via].items():
        mesh.measure(what, fate)
