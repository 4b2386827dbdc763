"""Workloads whose labels are forged, or change."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Enrolment,
    Exchange,
    MeshUnderTest,
    NetworkPolicy,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    labelled_as,
    slow,
)

from ..calls import PATIENCE, Call, calls, made
from .decisions import all_are_refused, all_are_served

TWIN = WorkloadSpec("grey", "client", Enrolment.UNENROLLED)
"""Outside of the namespaces of the callers, with the labels of one of them."""
FOLLOWS_WITHIN = 90.0
"""Seconds until a changed label has taken effect. Kubernetes names no limit; Cilium waits for up to 35 s."""


@check(MUST, "network.labels", proves={Capability.NETWORK_POLICY})
async def test_labels_cannot_be_forged(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, server: Workload
) -> None:
    """Twins of the listed caller, with all of its labels but in other namespaces, reach nothing."""
    async with mesh.deploy(TWIN) as twin:
        of_twins = calls((client_in_green, twin.service), (server,), "http")
        await all_are_served(mesh, of_twins)
        async with mesh.policy(NetworkPolicy(server, (client,), ("http",))):
            seen = await made(mesh, of_twins)
            control(await client.get(server), "the listed caller").answered()
        await all_are_refused(mesh, seen)


@slow
@check(MUST, "network.label-change", proves={Capability.NETWORK_POLICY})
async def test_decision_follows_labels(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A running workload that takes on the labels of the listed caller is served, and refused once it has lost them."""
    within = FOLLOWS_WITHIN * mesh.scale
    async with (
        mesh.deploy(WorkloadSpec("blue", "changing")) as deployed,
        mesh.policy(NetworkPolicy(server, (client,), ("http",))),
    ):
        changing = deployed.service
        ways = calls((changing,), (server,), "http")

        async def call() -> Exchange:
            return await changing.get(server, patience=PATIENCE * mesh.scale)

        await all_are_refused(mesh, await made(mesh, ways))
        async with labelled_as(mesh, changing, client):
            listed, seconds = await converge(call, lambda seen: seen.served, within)
            control(listed, "with the labels of the listed caller").answered()
            mesh.measure("served after (s)", round(seconds, 1))
        await mesh.until_refused(f"{changing} without these labels", call, within)
        await all_are_refused(mesh, await made(mesh, ways))


@slow
@check(MUST, "network.labels", proves={Capability.NETWORK_POLICY})
async def test_claimed_namespace_is_not_believed(
    mesh: MeshUnderTest, client: Workload, client_in_green: Workload, server: Workload, server_in_green: Workload
) -> None:
    """A running workload that takes on the listed caller's labels, and others that claim its namespace, is refused.

    A server that lists the twin in the workload's own namespace serves it once the labels have taken effect.
    """
    of_blue, of_green = (
        NetworkPolicy(server, (client,), ("http",)),
        NetworkPolicy(server_in_green, (client_in_green,), ("http",)),
    )
    async with mesh.deploy(WorkloadSpec("green", "claiming")) as deployed, mesh.policy(of_blue, of_green):
        claiming = deployed.service
        forbidden, allowed = calls((claiming,), (server,), "http"), calls((claiming,), (server_in_green,), "http")

        async def call() -> dict[Call, Exchange]:
            return await made(mesh, (*forbidden, *allowed))

        def is_decided(seen: dict[Call, Exchange]) -> bool:
            return all(seen[one].served for one in allowed) or any(seen[one].served for one in forbidden)

        await all_are_refused(mesh, await call())
        async with labelled_as(mesh, claiming, client):
            seen, _ = await converge(call, is_decided, FOLLOWS_WITHIN * mesh.scale)
            await all_are_refused(mesh, {one: seen[one] for one in forbidden})
            await all_are_refused(mesh, await made(mesh, forbidden))
        for one in allowed:
            control(seen[one], f"{one}, with the labels of its twin").answered()
