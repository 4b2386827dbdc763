"""Whether the data planes go by the policies that are in force, asked by traffic of the very workloads that checks use.

A policy can act non-monotonically for a moment (refused, served, refused), so one answer proves nothing: each question
has to be answered as expected several times in a row. After that nothing is waited for, and every request counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from pytest_meshcheck.probe import messages as m
from pytest_meshcheck.stage.observation import Ending, Exchange, Protocol
from pytest_meshcheck.stage.policy import MARK, Mode, MutualTls, Namespace, Policy, WholeMesh, about_service, mark
from pytest_meshcheck.stage.workload import Enrolment, Workload

IN_A_ROW = 3
"""As in Istio's own tests: pkg/test/framework/components/echo/flags.go, callConverge."""

ONE_TRY = 2.0
PAUSE = 0.01


async def served(_server: Workload, exchange: Exchange) -> bool:
    """Whether the application's own answer came."""
    return exchange.ending is Ending.ANSWERED and exchange.status in (200, None) and not exchange.grpc_status


async def marked(server: Workload, exchange: Exchange) -> str | None:
    """The policies that the data plane shows that it goes by, in the answer or else in what it sends to the server."""
    if (shown := exchange.header(MARK)) is not None:
        return shown
    attempts = (await server.ask(m.ReadLedger(request_id=exchange.request_id), m.Ledger)).attempts
    return attempts[-1].header(MARK) if attempts else None


@dataclass(frozen=True)
class Question:
    """A request, what is looked at when it has ended, and what is expected there."""

    caller: Workload
    server: Workload
    port: str
    look: Callable[[Workload, Exchange], Awaitable[bool | str | None]]
    expected: bool | str | None

    def __str__(self) -> str:
        return f"{self.caller} -> {self.server} port {self.port}, where {self.look.__name__} is to be {self.expected}"

    async def ask(self, scale: float) -> bool | str | None:
        """What is seen now."""
        request = self.caller.request(self.server, self.port, patience=ONE_TRY * scale)
        return await self.look(self.server, (await self.caller.ask(m.Send(request), m.Exchanged)).exchange)


def marks(policies: Sequence[Policy], changed: Sequence[Policy], running: Sequence[Workload]) -> list[Question]:
    """Asks each running caller which policies it goes by, about each service that a changed policy is about."""
    in_force = about_service(policies)
    callers = [one for one in running if one.spec.enrolment is Enrolment.ENROLLED and one.spec.calls]
    return [
        Question(caller, server, port.name, marked, mark(in_force[service]) if service in in_force else None)
        for service in about_service(changed)
        for server in running
        if (server.namespace, server.name) == service and server.spec.enrolment is not Enrolment.FEIGNED
        for port in server.spec.ports
        if port.protocol is not Protocol.TCP
        for caller in callers
        if caller is not server
    ]


def doors(policy: MutualTls, outsider: Workload, running: Sequence[Workload]) -> list[Question]:
    """Asks every enrolled port that a policy is about whether it serves an outsider as the policy says."""
    asked = []
    for server in running:
        for port in server.spec.ports if _covers(policy, server) else ():
            mode = policy.ports.get(port.name, policy.mode)
            if mode is not None and not port.server_first:  # which not every mesh can serve to outsiders
                asked.append(Question(outsider, server, port.name, served, mode is Mode.PERMISSIVE))
    return asked


def calls(newcomer: Workload, running: Sequence[Workload]) -> list[Question]:
    """Asks each enrolled caller for a newcomer, and a newcomer that calls for all others, whether the way is there."""
    others = [one for one in running if str(one) != str(newcomer)]
    ways = [*((one, newcomer) for one in others), *((newcomer, one) for one in others)]
    return [
        Question(caller, server, port.name, served, expected=True)
        for caller, server in ways
        if caller.spec.enrolment is Enrolment.ENROLLED and caller.spec.calls
        if server.spec.enrolment is not Enrolment.FEIGNED
        for port in server.spec.ports
        if not port.server_first
    ]


async def as_now(questions: Sequence[Question], scale: float) -> list[Question]:
    """The same questions, to be answered later as they are now, several times in a row."""
    answers = await asyncio.gather(*(_steady(question, scale) for question in questions))
    return [replace(question, expected=answer) for question, answer in zip(questions, answers, strict=True)]


async def unconvinced(questions: Sequence[Question], within: float, scale: float) -> list[Question]:
    """Those questions that do not come to be answered as expected, several times in a row, within so many seconds."""
    until = asyncio.get_running_loop().time() + within * scale
    convinced = await asyncio.gather(*(_in_a_row(question, until, scale) for question in questions))
    return [question for question, right in zip(questions, convinced, strict=True) if not right]


async def _steady(question: Question, scale: float) -> bool | str | None:
    """What is answered several times in a row; where it goes on changing, the last answer."""
    answer, equal = await question.ask(scale), 1
    for _ in range(IN_A_ROW * IN_A_ROW):
        if equal == IN_A_ROW:
            break
        before, answer = answer, await question.ask(scale)
        equal = equal + 1 if answer == before else 1
    return answer


async def _in_a_row(question: Question, until: float, scale: float) -> bool:
    right = 0
    while right < IN_A_ROW:
        if await question.ask(scale) == question.expected:
            right += 1
            continue
        right = 0
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(PAUSE)
    return True


def _covers(policy: MutualTls, server: Workload) -> bool:
    if server.spec.enrolment is not Enrolment.ENROLLED:
        return False
    match policy.target:
        case WholeMesh():
            return True
        case Namespace(namespace):
            return server.namespace == namespace
        case target:
            return (server.namespace, server.name) == (target.namespace, target.name)
