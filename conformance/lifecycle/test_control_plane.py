"""The control plane is away, and comes back."""

from dataclasses import replace

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Exchange,
    MeshUnderTest,
    Mode,
    MutualTls,
    NotStarted,
    Via,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    kept_out,
    more_arrive,
    more_sent,
    slow,
)

RATE = 50
"""Requests per second."""
MEETING = 10
"""Requests of a load that have to arrive before and after an outage, or to be sent to a new workload."""
MEANWHILE = 3 * RATE
"""Requests during an outage, so that data planes notice that they have lost their control plane."""
STARTS_WITHIN = 40.0
"""Seconds that a new workload has to start in an outage; an API server waits up to 30 s for a webhook."""
DIALLED = Via.ADDRESS
"""How an outsider calls a new workload: its node may learn of the service after the members of the mesh have."""
AFTERWARDS = 3 * RATE
"""Requests after the restart of a data plane, long enough for it to accept connections if it ever does."""


@check(
    MUST,
    "lifecycle.control-plane-outage",
    proves={Capability.CONTROL_PLANE_OUTAGE},
    uses={Capability.STRICT_MTLS},
    disruptive=True,
)
async def test_control_plane_outage_changes_nothing(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """While the control plane is away every request is served, an open stream lives on, and plaintext is refused."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)), client.stream(server) as stream:
        async with kept_out(outsider.load(server, RATE), "plaintext"), client.load(server, RATE) as load:
            await more_arrive(server, load, number=MEETING, within=mesh.tolerance)
            async with mesh.disruptions.control_plane_outage():
                await more_arrive(server, load, number=MEANWHILE, within=2 * MEANWHILE / RATE + mesh.tolerance)
            await more_arrive(server, load, number=MEETING, within=mesh.tolerance)
        echo = await stream.echo()
        expect(load.result).lost_nothing(MEETING, mesh.tolerance)
        expect(echo, "the stream that was open all the while").answered()


@check(
    MUST,
    "lifecycle.control-plane-return",
    proves={Capability.CONTROL_PLANE_OUTAGE},
    uses={Capability.STRICT_MTLS},
    disruptive=True,
)
async def test_policies_act_after_control_plane_outage(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """A policy that is applied right after an outage of the control plane takes effect within the documented time.

    That is the time in which data planes find the control plane again, from the end of the outage.
    """
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        control(await outsider.get(server)).answered()
    async with mesh.disruptions.control_plane_outage(until_followed=False) as outage:
        control(await outsider.get(server), "plaintext during the outage").answered()
    within = mesh.documented.follows_within + mesh.tolerance
    async with mesh.policy(MutualTls(server, Mode.STRICT)):

        async def call() -> Exchange:
            return await outsider.get(server)

        refused = await mesh.until_refused("plaintext", call, max(0.0, within - outage.seconds_since))
        mesh.measure("plaintext refused after (s)", round(outage.seconds_since, 3))
        expect(refused).refused(mesh.refusals.plaintext, arrived=await server.attempts(refused))
        control(await client.get(server)).answered()


async def plaintext_to_newcomer(mesh: MeshUnderTest, outsider: Workload, spec: WorkloadSpec) -> None:
    """Call a new workload in plaintext from the moment when it has an address, whether or not it starts."""
    try:
        async with mesh.deploy_called(spec, outsider, RATE) as (_, load):
            await more_sent(load, number=MEETING, within=mesh.tolerance)
        calls = load.outcome
    except NotStarted as why:
        mesh.measure("a new workload does not start", str(why))
        calls = why.calls
    if calls is not None:
        expect(calls, "plaintext to a new workload").refused()


@check(
    MUST,
    "lifecycle.newcomers",
    proves={Capability.CONTROL_PLANE_OUTAGE},
    uses={Capability.STRICT_MTLS},
    disruptive=True,
)
async def test_new_workload_fails_closed(mesh: MeshUnderTest, client: Workload, outsider: Workload) -> None:
    """While the control plane is away, a new workload refuses plaintext as its policy says, or does not start at all.

    Once the control plane is back, it starts and is a member.
    """
    spec = WorkloadSpec("blue", "newcomer", calls=False)
    async with mesh.policy(MutualTls(WorkloadSpec(client.namespace, spec.name), Mode.STRICT)):
        async with mesh.disruptions.control_plane_outage():
            await plaintext_to_newcomer(mesh, outsider, replace(spec, starts_within=STARTS_WITHIN))
        async with mesh.deploy(spec) as newcomer:
            control(await client.get(newcomer.service), "a call once the control plane is back").answered()
            refused = await outsider.get(newcomer.service, via=DIALLED)
            arrived = await newcomer.service.attempts(refused)
            expect(refused, "plaintext afterwards").refused(mesh.refusals.plaintext, arrived=arrived)


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=slow)])
@check(
    MUST,
    "lifecycle.ready",
    proves={Capability.CONTROL_PLANE_OUTAGE},
    uses={Capability.STRICT_MTLS},
    disruptive=True,
)
async def test_ready_means_ready(mesh: MeshUnderTest, client: Workload, outsider: Workload, times: int) -> None:
    """A workload that starts as soon as the control plane is ready again refuses plaintext, and serves members."""
    spec = WorkloadSpec("blue", "prompt", calls=False)
    async with mesh.policy(MutualTls(WorkloadSpec(client.namespace, spec.name), Mode.STRICT)):
        for number in range(times):
            async with mesh.disruptions.control_plane_return(), mesh.deploy(spec) as deployed:
                refused = await outsider.get(deployed.service, via=DIALLED)
                arrived = await deployed.service.attempts(refused)
                expect(refused, f"plaintext, time {number + 1}").refused(mesh.refusals.plaintext, arrived=arrived)
                expect(await client.get(deployed.service), "a member's request").answered()


@check(
    MUST,
    "lifecycle.restarted",
    proves={Capability.CONTROL_PLANE_OUTAGE},
    uses={Capability.STRICT_MTLS, Capability.PROXY_RESTART},
    disruptive=True,
)
async def test_restarted_data_plane_fails_closed(mesh: MeshUnderTest, client: Workload, outsider: Workload) -> None:
    """A data plane that is killed and starts anew while the control plane is away lets no plaintext in.

    It cannot fetch its policies, so it either accepts no connections or keeps enforcing those that it had.
    """
    spec = WorkloadSpec("blue", "killed", calls=False)
    async with mesh.deploy(spec) as deployed, mesh.policy(MutualTls(deployed.service, Mode.STRICT)):
        server = deployed.service
        control(await client.get(server), "a member's request before").answered()
        await mesh.disruptions.prepare_to_kill(server)
        intruding = kept_out(outsider.load(server, RATE), "plaintext to a server under strict mutual TLS")
        async with mesh.disruptions.control_plane_outage(), intruding as intrusion:
            await more_sent(intrusion, number=MEETING, within=mesh.tolerance)
            await mesh.disruptions.kill_data_plane(server)
            await more_sent(intrusion, number=AFTERWARDS, within=2 * AFTERWARDS / RATE + mesh.tolerance)
        control(intrusion.result).sent_at_least(MEETING + AFTERWARDS)
