"""Whether the data planes go by the policies that are in force, asked by traffic of the very workloads that checks use.

Each question has to be answered as expected several times in a row. After that nothing is waited for, and every request
counts.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from pytest_meshcheck.model.policy import ServerPolicy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.messages import Shown, Sign

IN_A_ROW = 3
"""As in Istio's own tests: pkg/test/framework/components/echo/flags.go, callConverge."""

ONE_TRY = 2.0

STEADY_WITHIN = 5.0
"""Seconds in which what is so now has to be so several times in a row; the last answer counts where it is not."""


Subject = tuple[str, str, str, Sign]


@dataclass(frozen=True)
class Question:
    """A request, what is looked at in its answer, and what is expected there."""

    caller: Workload
    server: Workload
    port: str
    sign: Sign
    expected: Shown

    def __str__(self) -> str:
        return f"{self.caller} -> {self.server} port {self.port}, where {self.sign} is to be {self.expected}"

    @property
    def subject(self) -> Subject:
        """What it is about, whatever is expected."""
        return str(self.caller), str(self.server), self.port, self.sign

    def look(self, scale: float) -> m.Look:
        """What to have the caller's probe look at."""
        outside = self.caller.spec.enrolment is not Enrolment.ENROLLED
        via = Via.ADDRESS if outside and self.server.spec.replicas > 1 else Via.SERVICE  # each replica for itself
        request = self.caller.request(self.server, self.port, via, patience=ONE_TRY * scale)
        return m.Look(request=request, sign=self.sign, expected=self.expected)


def doors(policy: ServerPolicy, outsider: Workload, running: Sequence[Workload]) -> list[Question]:
    """Asks every enrolled port that a policy is about whether it serves an outsider as the policy says."""
    asked = []
    for server in running:
        for port in server.spec.ports if _covers(policy, server) else ():
            served = policy.admits_outsiders(port.name)
            if served is not None and not port.server_first:  # which not every mesh can serve to outsiders
                asked.append(Question(outsider, server, port.name, Sign.SERVED, served))
    return asked


def calls(newcomer: Workload, running: Sequence[Workload]) -> list[Question]:
    """Asks each enrolled caller for a newcomer, and a newcomer that calls for all others, whether the way is there."""
    others = [one for one in running if str(one) != str(newcomer)]
    ways = [*((one, newcomer) for one in others), *((newcomer, one) for one in others)]
    return [
        Question(caller, server, port.name, Sign.SERVED, expected=True)
        for caller, server in ways
        if caller.spec.enrolment is Enrolment.ENROLLED and caller.spec.calls
        if server.spec.enrolment is not Enrolment.IMPERSONATED
        for port in server.spec.ports
        if not port.server_first
    ]


async def as_now(questions: Sequence[Question], scale: float) -> list[Question]:
    """The same questions, to be answered later as they are now, several times in a row."""
    looks = [msgspec.structs.replace(question.look(scale), expected=msgspec.UNSET) for question in questions]
    sightings = await _watch(questions, looks, STEADY_WITHIN * scale, IN_A_ROW)
    return [replace(question, expected=seen.shown) for question, seen in zip(questions, sightings, strict=True)]


async def unconvinced(
    questions: Sequence[Question], within: float, scale: float, in_a_row: int = IN_A_ROW
) -> list[Question]:
    """Those questions that do not come to be answered as expected, so many times in a row, within so many seconds."""
    sightings = await _watch(questions, [question.look(scale) for question in questions], within * scale, in_a_row)
    return [question for question, seen in zip(questions, sightings, strict=True) if not seen.convincing]


async def _watch(
    questions: Sequence[Question], looks: Sequence[m.Look], within: float, in_a_row: int
) -> list[m.Sighting]:
    """Have each caller's probe look; one command for all of its looks, as the way to a probe can be long."""
    of_caller: dict[str, list[int]] = {}
    for number, question in enumerate(questions):
        of_caller.setdefault(str(question.caller), []).append(number)

    async def ask(numbers: Sequence[int]) -> list[tuple[int, m.Sighting]]:
        command = m.Watch(looks=tuple(looks[number] for number in numbers), in_a_row=in_a_row, within=within)
        watched = await questions[numbers[0]].caller.ask(command, m.Watched)
        return list(zip(numbers, watched.sightings, strict=True))

    seen = dict(pair for pairs in await asyncio.gather(*map(ask, of_caller.values())) for pair in pairs)
    return [seen[number] for number in range(len(questions))]


def _covers(policy: ServerPolicy, server: Workload) -> bool:
    return server.spec.enrolment is Enrolment.ENROLLED and policy.covers(server)
