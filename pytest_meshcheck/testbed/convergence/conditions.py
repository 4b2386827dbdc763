"""Conditions that data planes have to meet, polled with requests from the workloads that checks use.

A condition is met once several consecutive requests meet it. Once all conditions are met at one time, nothing is
polled any more, and every request counts.
"""

import asyncio
import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import msgspec

from pytest_meshcheck.model.policy import (
    EgressPolicy,
    ServerPolicy,
    WorkloadPolicy,
    admits_outsiders,
    may_connect,
)
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.messages import PolledValue, Property
from pytest_meshcheck.probe.protocol.requests import SILENT

IN_A_ROW = 3
"""As in Istio's own tests: pkg/test/framework/components/echo/flags.go, callConverge."""

ONE_TRY = 2.0
"""Seconds that one request may take."""

STEADY_WITHIN = 5.0
"""Seconds in which the present value has to repeat several times in a row; otherwise the last one counts."""

SOON = 5.0
"""Seconds: a shorter limit for conditions that have missed the documented one."""

Subject = tuple[str, str, str, Property]


@dataclass(frozen=True)
class Condition:
    """A request, the property of its answer that is examined, and the value that is expected.

    Attributes:
        caller: The workload that sends it.
        server: The workload that it goes to.
        port: The port's name.
        examined: The property.
        expected: Its value.
        drops: Whether silence is a refusal.
    """

    caller: Workload
    server: Workload
    port: str
    examined: Property
    expected: PolledValue
    drops: bool = False

    def __str__(self) -> str:
        return f"{self.caller} -> {self.server} port {self.port}: {self.examined} should be {self.expected}"

    @property
    def may_be_polled(self) -> bool:
        """Whether neither workload is about to be stopped."""
        return not (self.caller.polls.closed or self.server.polls.closed)

    @property
    def subject(self) -> Subject:
        """Everything but the expected value."""
        return str(self.caller), str(self.server), self.port, self.examined

    def poll(self, scale: float) -> m.Poll:
        """The poll that the caller's probe makes."""
        outside = self.caller.spec.enrolment is not Enrolment.ENROLLED
        via = Via.ADDRESS if outside and self.server.spec.replicas > 1 else Via.SERVICE  # each replica for itself
        request = self.caller.request(self.server, self.port, via, patience=ONE_TRY * scale)
        return m.Poll(request=request, examined=self.examined, expected=self.expected, drops=self.drops)


def admission(
    policies: Sequence[ServerPolicy],
    outsider: Workload,
    running: Sequence[Workload],
    beside: Sequence[ServerPolicy] = (),
) -> list[Condition]:
    """Every enrolled port that one of the policies covers serves or refuses an outsider.

    The narrowest policy that covers the port decides, of these and of those ``beside`` them.
    """
    return [
        Condition(outsider, server, port.name, Property.SERVED, served, drops=_drops(policies, server))
        for server in running
        if server.spec.enrolment is Enrolment.ENROLLED and any(policy.covers(server) for policy in policies)
        for port in server.spec.ports
        if not port.server_first  # which not every mesh can serve to outsiders
        if (served := admits_outsiders([*beside, *policies], server, port.name)) is not None
    ]


def _drops(policies: Sequence[ServerPolicy], server: Workload) -> bool:
    """Whether one of the policies refuses callers of a server by dropping packets."""
    return any(policy.drops and policy.covers(server) for policy in policies)


def reachability(newcomer: Workload, running: Sequence[Workload]) -> list[Condition]:
    """Every enrolled caller reaches a newcomer, and a newcomer that calls reaches all others."""
    others = [one for one in running if str(one) != str(newcomer)]
    return _served([*((one, newcomer) for one in others), *((newcomer, one) for one in others)])


def egress(policies: Sequence[EgressPolicy], running: Sequence[Workload]) -> list[Condition]:
    """The workload of each policy reaches the ports of others that it lists, and none that it does not list."""
    called = _served(itertools.permutations(running, 2))
    return [
        replace(one, expected=policy.allows(one.caller, one.server, one.port), drops=True)
        for policy in policies
        for one in called
        if one.caller.spec.service == (policy.target.namespace, policy.target.name)
    ]


def allowed(policies: Sequence[WorkloadPolicy], conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions about enrolled callers whom every policy lets connect to the server."""
    return [one for one in conditions if may_connect(policies, one.caller, one.server, one.port)]


def without(services: Collection[tuple[str, str]], conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions about servers that are behind none of these services."""
    return [one for one in conditions if one.server.spec.service not in services]


def connectivity(running: Sequence[Workload]) -> list[Condition]:
    """Every enrolled caller reaches every other workload."""
    return _served(itertools.permutations(running, 2))


def _served(pairs: Iterable[tuple[Workload, Workload]]) -> list[Condition]:
    """Enrolled callers of these pairs are served, except by strangers and impostors, which may be out of reach."""
    return [
        Condition(caller, server, port.name, Property.SERVED, expected=True)
        for caller, server in pairs
        if caller.spec.enrolment is Enrolment.ENROLLED and caller.spec.calls
        if server.spec.enrolment is not Enrolment.IMPERSONATED and not is_stranger(server)
        for port in server.spec.ports
        if not port.server_first
    ]


def is_stranger(workload: Workload) -> bool:
    """Whether it is outside the mesh, and shares a service with others."""
    return workload.spec.enrolment is Enrolment.UNENROLLED and workload.spec.replicas > 1


async def present(conditions: Sequence[Condition], scale: float) -> list[Condition]:
    """The same conditions, with the values that repeat now as the expected ones; lasting silence is a refusal."""
    conditions = [one for one in conditions if one.may_be_polled]
    polls = [msgspec.structs.replace(condition.poll(scale), expected=msgspec.UNSET) for condition in conditions]
    results = await _poll(conditions, polls, STEADY_WITHIN * scale, IN_A_ROW)
    return [_meeting(condition, seen.result.value) for condition, seen in zip(conditions, results, strict=True)]


def _meeting(condition: Condition, value: PolledValue) -> Condition:
    if value == SILENT:
        return replace(condition, expected=False, drops=True)
    return replace(condition, expected=value)


async def unmet(
    conditions: Sequence[Condition], within: float, scale: float, in_a_row: int = IN_A_ROW
) -> list[Condition]:
    """The conditions that are not met so many times in a row within so many seconds, before the scale.

    All must be met at one time: where policies reach a data plane one after the other, it can meet a condition between
    two of them, and not after the second. Those whose streak ended before that of another one began are polled again.
    """
    begun, conditions = time.monotonic(), [one for one in conditions if one.may_be_polled]
    streaks: dict[int, _Streak] = {}
    numbers: Sequence[int] = range(len(conditions))
    while numbers:
        polled, left = [conditions[number] for number in numbers], begun + within * scale - time.monotonic()
        seen = await _poll(polled, [one.poll(scale) for one in polled], max(0.0, left), in_a_row)
        if wrong := [one for one, streak in zip(polled, seen, strict=True) if not streak.result.convincing]:
            return wrong
        for number, streak in zip(numbers, seen, strict=True):
            met_since = streaks[number].begun if number in streaks else begun
            streaks[number] = replace(streak, begun=met_since) if streak.result.at_once else streak
        numbers = [
            one
            for one in streaks
            if any(streaks[one].ended < streaks[other].begun for other in streaks if other != one)
        ]
    return []


@dataclass(frozen=True)
class _Streak:
    """Consecutive requests that met a condition, by the clock ``time.monotonic``.

    Attributes:
        result: What the poll saw.
        begun: When the first of them began, at the latest.
        ended: When the last of them ended, at the earliest.
    """

    result: m.PollResult
    begun: float
    ended: float


async def _poll(
    conditions: Sequence[Condition], polls: Sequence[m.Poll], within: float, in_a_row: int
) -> list[_Streak]:
    """Have each caller's probe poll; one command for all of its polls, because a command can take long."""
    of_caller: dict[str, list[int]] = {}
    for number, condition in enumerate(conditions):
        of_caller.setdefault(str(condition.caller), []).append(number)

    async def poll(numbers: Sequence[int]) -> list[tuple[int, _Streak]]:
        command = m.Watch(polls=tuple(polls[number] for number in numbers), in_a_row=in_a_row, within=within)
        sent = time.monotonic()
        results = (await conditions[numbers[0]].caller.ask(command, m.Watched)).results
        started_by = time.monotonic() - max(one.ended for one in results)
        streaks = [_Streak(one, begun=started_by + one.begun, ended=sent + one.ended) for one in results]
        return list(zip(numbers, streaks, strict=True))

    with ExitStack() as under_way:
        for workload in (one for condition in conditions for one in (condition.caller, condition.server)):
            under_way.enter_context(workload.polls.one())
        seen = dict(pair for pairs in await asyncio.gather(*map(poll, of_caller.values())) for pair in pairs)
    return [seen[number] for number in range(len(conditions))]
