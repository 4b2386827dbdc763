"""Policies come and go while requests are under way."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from pytest_meshcheck.suite import (
    SHOULD,
    Body,
    Capability,
    Load,
    MeshUnderTest,
    Mode,
    MutualTls,
    PolicyWatch,
    Property,
    RequestsPerConnection,
    Retry,
    ServerPolicy,
    ServicePolicy,
    Timeout,
    Workload,
    check,
    control,
    expect,
    more_sent,
    under_watch,
)

RATE = 25
"""Requests per second; a call over gRPC costs a client several times as much."""
GRPC_RATE = OUTSIDE_RATE = 10
SLOW_RATE = 4
UNDER_WAY = 1.5
"""Seconds of a slow request: at every change some are under way, and still are when data planes have drained."""
UPLOAD = {"method": "POST", "body": Body(length=64), "body_delay": UNDER_WAY}
MEETING = 3
"""Requests of each load that have to be sent under each policy."""
ENOUGH = 4
"""Requests of any load, so that one can be under way at each change."""
PLENTY = 5.0
"""Seconds; no request takes that long."""


@dataclass(frozen=True)
class Kind:
    """A kind of policy that lets every request of a member through.

    Attributes:
        uses: The capabilities that it needs.
        created: The policy that is created.
        changed: What it is changed to.
    """

    uses: Sequence[Capability]
    created: Callable[[Workload], ServerPolicy | ServicePolicy]
    changed: Callable[[Workload], ServerPolicy | ServicePolicy]


KINDS: Mapping[str, Kind] = {
    "retry": Kind(
        (Capability.RETRY,),
        lambda server: Retry(server, 2, statuses={503}),
        lambda server: Retry(server, 1, statuses={502, 503}),
    ),
    "timeout": Kind(
        (Capability.TIMEOUT,),
        lambda server: Timeout(server, PLENTY),
        lambda server: Timeout(server, 2 * PLENTY),
    ),
    "connections": Kind(
        (Capability.CONNECTION_REUSE,),
        lambda server: RequestsPerConnection(server, 1),
        lambda server: RequestsPerConnection(server, 2),
    ),
    "mutual-tls": Kind(
        (Capability.STRICT_MTLS, Capability.PERMISSIVE_MTLS),
        lambda server: MutualTls(server, Mode.STRICT),
        lambda server: MutualTls(server, Mode.PERMISSIVE),
    ),
}


async def step_by_step(mesh: MeshUnderTest, server: Workload, kind: Kind, watches: Sequence[PolicyWatch]) -> None:
    """Create a policy, change it, change it back, and delete it; requests are sent under each."""
    for watch in watches:
        await watch.acts(0)
    async with AsyncExitStack() as created, AsyncExitStack() as changed:
        for change in (
            lambda: created.enter_async_context(mesh.policy(kind.created(server))),
            lambda: changed.enter_async_context(mesh.policy(kind.changed(server))),
            changed.aclose,
            created.aclose,
        ):
            await under_watch(change(), watches, number=MEETING, within=mesh.tolerance)


def record(mesh: MeshUnderTest, loads: Mapping[str, Load], watches: Mapping[str, PolicyWatch]) -> None:
    """Record what failed, how often policies went back, and for how long."""
    for name, load in loads.items():
        mesh.measure(f"{name}: requests", load.result.sent)
        mesh.measure(f"{name}: failed", len(load.result.failed))
    for name, watch in watches.items():
        mesh.measure(f"{name}: flaps", len(watch.flaps))
        if watch.flaps:
            mesh.measure(f"{name}: longest flap (s)", round(max(flap.seconds for flap in watch.flaps), 3))


def changes_show(watches: Mapping[str, PolicyWatch]) -> None:
    """Control: each change shows in what some caller meets, and requests of each load have met all of it."""
    steps = list(zip(*([step.shown for step in watch.steps] for watch in watches.values()), strict=True))
    unseen = sum(before == after for before, after in itertools.pairwise(steps))
    control(unseen, "changes that show in no answer").equals(0)
    for name, watch in watches.items():
        control(len(watch.unmet), f"{name}: policies that no request of the load has met").equals(0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@check(SHOULD, "lifecycle.policy-change")
async def test_policy_change_loses_nothing(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, kind: Kind
) -> None:
    """While a policy is created, changed, changed back and deleted, no request is lost, and no change goes back.

    Every request of a member over HTTP or gRPC is served exactly once, also those that are under way at a change. Once
    a request has met the new policy, none that begins later meets the old one. Members see a policy
    by a mark in answers, callers outside the mesh by whether they are served. The length of each flap is recorded.
    """
    for capability in kind.uses:
        mesh.insist_on(capability, "this kind of policy")
    async with (
        client.load(server, RATE) as http,
        client.load(server, GRPC_RATE, "grpc") as grpc,
        client.load(server, SLOW_RATE, **UPLOAD) as slow,
        outsider.load(server, OUTSIDE_RATE) as outside,
    ):
        watches = {
            "http": PolicyWatch(http, client, server, "http", Property.POLICIES),
            "grpc": PolicyWatch(grpc, client, server, "grpc", Property.POLICIES),
            "outside": PolicyWatch(outside, outsider, server, "http", Property.SERVED),
        }
        await step_by_step(mesh, server, kind, list(watches.values()))
    loads = {"http": http, "grpc": grpc, "under way": slow}
    record(mesh, loads, watches)
    for name, load in loads.items():
        expect(load.result, name).lost_nothing(ENOUGH, mesh.tolerance + UNDER_WAY * (load is slow))
    changes_show(watches)
    for name, watch in watches.items():
        back = "; ".join(f"from request {flap.request} on for {flap.seconds:.3f} s" for flap in watch.flaps)
        expect(not watch.flaps, f"{name}: each policy once, in the order of the changes").is_true(
            otherwise=f"what had been replaced acted again: {back}"
        )


@check(SHOULD, "lifecycle.unrelated-change", uses={Capability.RETRY, Capability.TIMEOUT})
async def test_changes_for_others_change_nothing(
    mesh: MeshUnderTest, client: Workload, server: Workload, server_in_green: Workload, second_client: Workload
) -> None:
    """While policies for other services are created, changed and deleted, the policy for a service stays in effect.

    Each request to that service is served exactly once. Its answer shows the policy by a mark.
    """
    unmarked = (await client.get(server)).shows(Property.POLICIES)
    async with mesh.policy(Retry(server, 2, statuses={503})):
        marked = control(await client.get(server), "a call under the policy").answered().shows(Property.POLICIES)
        control(marked != unmarked, "a mark of the policy").is_true(otherwise="answers are the same without it")
        async with client.load(server, RATE) as load:
            for other in (server_in_green, second_client):
                for policy in (Retry(other, 1, statuses={502}), Timeout(other, PLENTY)):
                    async with mesh.policy(policy):
                        control(await client.get(other), f"a call to {other}").answered()
                        await more_sent(load, number=MEETING, within=mesh.tolerance)
    expect(load.result).lost_nothing(ENOUGH, mesh.tolerance)
    strays = [one for one in load.met(Property.POLICIES) if one.tells and one.shown != marked]
    expect(len(strays), f"requests under another policy, out of {load.result.sent}").equals(0)
