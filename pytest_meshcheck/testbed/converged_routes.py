"""Which data planes are known to go by the policies about a service: those of callers that were asked.

A caller's data plane is asked when it is about to call a port of the service for the first time since those policies
changed. After that nothing is waited for, and every request counts.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.policy import Policy, about_service, mark
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment
from pytest_meshcheck.probe.protocol.messages import Sign
from pytest_meshcheck.testbed.convergence import Question, unconvinced

CONVINCING = 5
"""Answers in a row; more than where outsiders ask, as here it is one port that speaks for all of a data plane."""

Service = tuple[str, str]
Way = tuple[str, Service, str]


@dataclass(eq=False)
class Ways:
    """From callers to the ports of services.

    Attributes:
        adapter: The mesh; it documents after how many seconds a data plane goes by new policies.
        scale: What patience is multiplied by.
        journal: Where it is written down when a data plane does.
    """

    adapter: Mesh
    scale: float
    journal: Journal
    _marks: dict[Service, str] = field(default_factory=dict)
    _changes: Counter[Service] = field(default_factory=Counter)
    _known: dict[Way, int] = field(default_factory=dict)
    _turns: defaultdict[Way, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def become(self, policies: Sequence[Policy]) -> None:
        """These are in force from now on: who calls a service that has others than before is to be asked again."""
        marks = {service: mark(about) for service, about in about_service(policies).items()}
        changed = {service for service in {*marks, *self._marks} if marks.get(service) != self._marks.get(service)}
        self._changes.update(changed)
        self._marks = marks

    async def prove(self, caller: Workload, server: Workload, port: str) -> None:
        """Wait until a caller's data plane goes by what is in force; where it never does, that is left to the check.

        Raises:
            Inconclusive: It goes on acting by what was taken back.
        """
        service = server.namespace, server.name
        way = str(caller), service, port
        if self._known.get(way, 0) == self._changes[service] or not _has_routes(caller, server, port):
            return
        async with self._turns[way]:
            while self._known.get(way, 0) != (change := self._changes[service]):
                wrong = await self._asked(Question(caller, server, port, Sign.POLICIES, self._marks.get(service)))
                self._known[way] = change
                if wrong and change == self._changes[service] and service not in self._marks:
                    raise Inconclusive(f"a deleted policy is still in effect: {wrong}")

    async def _asked(self, question: Question) -> Question | None:
        """The question, should the answer not become as expected in time."""
        begun = time.monotonic()
        within = self.adapter.documented.policies_act_within
        wrong = await unconvinced([question], within, self.scale, CONVINCING)
        seconds = round(time.monotonic() - begun, 3)
        told = f"not after {seconds} s: {question}" if wrong else f"after {seconds} s"
        self.journal.add("policy acts", f"{question.caller} -> {question.server}", told)
        if not wrong:
            self.journal.add("in effect", "as callers see it", seconds)
        return wrong[0] if wrong else None


def _has_routes(caller: Workload, server: Workload, port: str) -> bool:
    """Whether policies about a service can act here."""
    if caller is server or server.spec.enrolment is Enrolment.FEIGNED:
        return False
    enrolled = caller.spec.enrolment is Enrolment.ENROLLED and caller.spec.calls
    return enrolled and server.spec.port(port).protocol.facts.is_http
