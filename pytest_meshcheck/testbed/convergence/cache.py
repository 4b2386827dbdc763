"""The convergence cache: everything about policies that is deferred, because most of it is never needed.

A route leads from one caller to one port of a service. The cache knows which routes were verified since the policies
about their service last changed; any other is verified when a check is about to use it. It also keeps what checks have
deleted until a call could meet it: usually the next check applies the same policy, which is no change at all, or
another one in its place, which is one change to wait for instead of two.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import StillInEffect
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.policy import Policy, about_service, mark
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment
from pytest_meshcheck.probe.protocol.messages import Property
from pytest_meshcheck.testbed.convergence.conditions import SOON, Condition, unmet

SWITCH = "MESHCHECK_CONVERGENCE_CACHE"
"""The environment variable that, set to ``off``, has every step of every policy waited for at once; to compare."""

IN_A_ROW = 5
"""Consecutive answers; more than for outsiders, as here one port speaks for a whole data plane."""

IN_A_LONG_ROW = 50
"""The same where a data plane answers before it has endpoints: a route that acts may lose them again for some 80 ms."""

Service = tuple[str, str]
Route = tuple[str, Service, str]


@dataclass(eq=False)
class ConvergenceCache:
    """The deferred part of one session's policies.

    Attributes:
        adapter: The mesh.
        scale: The factor for time limits.
        journal: The journal that records when a data plane applies its policies.
        lazy: Whether anything is deferred; see ``SWITCH``.
        undeleted: Policies that checks have deleted, and that are still applied.
        unconfirmed: What outsiders have to meet again once deleted policies are no longer in effect.
    """

    adapter: Mesh
    scale: float
    journal: Journal
    lazy: bool = field(default_factory=lambda: os.environ.get(SWITCH) != "off")
    undeleted: list[Policy] = field(default_factory=list)
    unconfirmed: list[Condition] = field(default_factory=list)
    _marks: dict[Service, str] = field(default_factory=dict)
    _changes: Counter[Service] = field(default_factory=Counter)
    _verified: dict[Route, int] = field(default_factory=dict)
    _overdue: set[Route] = field(default_factory=set)
    """The routes that still followed a deleted policy after the documented time."""
    _locks: defaultdict[Route, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    @property
    def is_empty(self) -> bool:
        """Whether every deleted policy is known to be out of effect for outsiders."""
        return not (self.undeleted or self.unconfirmed)

    def is_about(self, service: Service) -> bool:
        """Whether a policy about a service waits to be deleted."""
        return service in about_service(self.undeleted)

    def replaced(self, policies: Sequence[Policy]) -> None:
        """Only these policies are applied now: routes to services with other policies than before are unverified."""
        marks = {service: mark(about) for service, about in about_service(policies).items()}
        self._changes.update(one for one in {*marks, *self._marks} if marks.get(one) != self._marks.get(one))
        self._marks = marks
        self.undeleted = []

    def forget(self) -> None:
        """Every route is unverified: data planes were away, and need not follow yet."""
        self._verified = {}

    def await_again(self, before: Sequence[Condition]) -> None:
        """Outsiders have to meet these conditions again, in place of other values for the same requests."""
        again = {condition.subject for condition in before}
        self.unconfirmed = [*(one for one in self.unconfirmed if one.subject not in again), *before]

    async def verify(self, caller: Workload, server: Workload, port: str) -> None:
        """Wait until a route follows the applied policies; one that never does is left to the check.

        Raises:
            StillInEffect: A deleted policy is.
        """
        service = server.namespace, server.name
        route = str(caller), service, port
        examined = Property.POLICIES_SERVED if self._needs_endpoints else Property.POLICIES
        if self._verified.get(route, 0) == self._changes[service] or not _follows_policies(caller, server, port):
            return
        async with self._locks[route]:
            while self._verified.get(route, 0) != (change := self._changes[service]):
                deleted = service not in self._marks
                within = SOON if deleted and route in self._overdue else self.adapter.documented.follows_within
                wrong = await self._polled(Condition(caller, server, port, examined, self._marks.get(service)), within)
                if wrong and deleted and change == self._changes[service]:
                    self._overdue.add(route)
                    raise StillInEffect(str(wrong))
                self._overdue.discard(route)
                self._verified[route] = change

    async def verify_all(self, workloads: Iterable[Workload]) -> None:
        """Verify every route between workloads."""
        running = list(workloads)
        routes = [(caller, server, port.name) for caller in running for server in running for port in server.spec.ports]
        await asyncio.gather(*(self.verify(*route) for route in routes))

    @property
    def _needs_endpoints(self) -> bool:
        return self.adapter.documented.answers_before_endpoints

    async def _polled(self, condition: Condition, within: float) -> Condition | None:
        """The condition, if it is not met in time."""
        begun = time.monotonic()
        in_a_row = IN_A_LONG_ROW if self._needs_endpoints else IN_A_ROW
        wrong = await unmet([condition], within, self.scale, in_a_row)
        seconds = round(time.monotonic() - begun, 3)
        outcome = f"not after {seconds} s: {condition}" if wrong else f"after {seconds} s"
        self.journal.add("policy acts", f"{condition.caller} -> {condition.server}", outcome)
        if not wrong:
            self.journal.add("in effect", "as callers see it", seconds)
        return wrong[0] if wrong else None


def _follows_policies(caller: Workload, server: Workload, port: str) -> bool:
    """Whether policies about a service can affect this route."""
    if caller is server or server.spec.enrolment is Enrolment.IMPERSONATED:
        return False
    enrolled = caller.spec.enrolment is Enrolment.ENROLLED and caller.spec.calls
    return enrolled and server.spec.port(port).protocol.facts.is_http
