"""Policies put in force and taken back, and when data planes go by that.

Where no control plane can tell, traffic is asked (``witness``). Whom a server lets in is asked at once. What is about
a service is asked of a caller that is about to call it (``ways``), and it stays when its check is over until policies
are put in force again, somebody is about to call that service, or a workload starts, whom it could be in the way of:
mostly another policy takes its place, and there is one change to wait for, not two, or the same one, and there is none.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.policy import Policy, ServerPolicy, about_service
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.probe.protocol.messages import Shown
from pytest_meshcheck.testbed.converged_routes import Ways
from pytest_meshcheck.testbed.convergence import Question, Subject, as_now, doors, unconvinced
from pytest_meshcheck.testbed.in_force import InForce
from pytest_meshcheck.testbed.workloads import Stage


@dataclass(eq=False)
class Changes:
    """One session's changes.

    Attributes:
        adapter: The mesh that they are made to.
        stage: Whose traffic is asked.
        scale: What patience is multiplied by.
        in_force: What holds now.
        ways: Who is known to go by it.
    """

    adapter: Mesh
    stage: Stage
    scale: float
    in_force: InForce = field(init=False)
    ways: Ways = field(init=False)
    _lingering: list[Policy] = field(default_factory=list)
    """What was taken back, and is still in force."""
    _doors: list[Question] = field(default_factory=list)
    """How outsiders are to be let in when what was taken back acts no more."""
    _usual: dict[Subject, Shown] = field(default_factory=dict)
    """How outsiders are let in where no policy of ours is about that, asked once: another process of the run may have
    changed the whole mesh just before it is asked again."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        platform = self.stage.platform
        self.in_force = InForce(self.adapter, platform)
        self.ways = Ways(self.adapter, self.scale, platform.journal)

    async def put_in_force(self, policies: Sequence[Policy]) -> list[Question]:
        """Put policies in force, and return how outsiders were let in before, which is to be so again after them.

        Policies that do not come to act are left to the check: what it sees then is the mesh's doing.

        Raises:
            Unsupported: The mesh cannot express one of them; nothing has changed.
            Inconclusive: A data plane does not take them, or goes on acting by what was taken back; they are no more.
        """
        there = await self._doors_of(policies)
        async with self._turn:
            before = await self._as_before(there)
            try:
                await self._act(policies, there)
            except BaseException:
                await self._take_back(policies, before, at_once=True)
                raise
            return before

    async def take_back(self, policies: Sequence[Policy], before: Sequence[Question]) -> None:
        """Take policies back: before anybody meets them who is not to, they are no more."""
        async with self._turn:
            await self._take_back(policies, before)

    async def quiet(self) -> None:
        """Have nothing in force that was taken back, and wait until no server goes by it.

        Raises:
            Inconclusive: One does, for longer than documented.
        """
        if not (self._lingering or self._doors):
            return
        async with self._turn:
            await self._become(self._wanted())
            if self._doors:
                _refuse(await self._unconvinced(self._left(())))

    async def before_call(self, caller: Workload | None, server: Workload, port: str) -> None:
        """Wait until a caller, or for None each, goes by what is in force about a server's port, and by nothing else.

        Raises:
            Inconclusive: It goes on acting by what was taken back.
        """
        if not self.adapter.documented.is_asked:
            return
        if self._doors or (server.namespace, server.name) in about_service(self._lingering):
            await self.quiet()
        callers = self.stage.running if caller is None else [caller]
        await asyncio.gather(*(self.ways.prove(one, server, port) for one in callers))

    async def _act(self, policies: Sequence[Policy], there: Sequence[Question]) -> None:
        name, begun = ", ".join(type(policy).__name__ for policy in policies), time.monotonic()
        journal = self.stage.platform.journal
        journal.add("policy", name, await self._become([*self._wanted(), *policies]))
        left = self._left(there)
        if not self.adapter.documented.is_asked:
            journal.add("in effect", name, time.monotonic() - begun)
        if not (self.adapter.documented.is_asked and (there or left)):
            return
        wrong = await self._unconvinced([*there, *left])
        seconds = round(time.monotonic() - begun, 3)
        journal.add("policy acts", name, f"not after {seconds} s: {wrong[0]}" if wrong else f"after {seconds} s")
        if not wrong:
            journal.add("in effect", name, seconds)
        _refuse([one for one in wrong if one in left])

    async def _become(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Have these in force and nothing else; returns the resources that this creates or changes."""
        changed = await self.in_force.become(policies)
        self._lingering = []
        self.ways.become(policies)
        await self.adapter.settled()
        return changed

    def _wanted(self) -> list[Policy]:
        """What is in force and was not taken back."""
        return _without(self.in_force.policies, self._lingering)

    async def _take_back(
        self, policies: Sequence[Policy], before: Sequence[Question], *, at_once: bool = False
    ) -> None:
        at_once = at_once or not self.adapter.documented.is_asked or self.stage.starting
        gone = [one for one in policies if at_once or isinstance(one, ServerPolicy)]
        lingering = [*self._lingering, *_without(policies, gone)]
        if gone:
            await self._become(_without(self.in_force.policies, gone))
        self._lingering = lingering
        if self.adapter.documented.is_asked:
            again = {question.subject for question in before}
            self._doors = [*(one for one in self._doors if one.subject not in again), *before]

    async def _doors_of(self, policies: Sequence[Policy]) -> list[Question]:
        """What to ask outsiders about, where it has to be waited for."""
        of_servers = [policy for policy in policies if isinstance(policy, ServerPolicy)]
        if not (of_servers and self.adapter.documented.is_asked):
            return []
        outsider = await self.stage.workload("outsider")
        return [question for policy in of_servers for question in doors(policy, outsider, self.stage.running)]

    async def _as_before(self, there: Sequence[Question]) -> list[Question]:
        """The doors as they are without the policies to come, or are about to become."""
        if any(isinstance(policy, ServerPolicy) for policy in self.in_force.policies):
            known = {question.subject: question.expected for question in self._doors}
        else:
            known = self._usual
        asked = await as_now([one for one in there if one.subject not in known], self.scale)
        known |= {question.subject: question.expected for question in asked}
        return [replace(one, expected=known[one.subject]) for one in there]

    def _left(self, there: Sequence[Question]) -> list[Question]:
        """The doors of what was taken back, between workloads that still run, but for those of a new policy."""
        covered, running = {question.subject for question in there}, {id(one) for one in self.stage.running}
        left = [one for one in self._doors if one.subject not in covered]
        return [one for one in left if {id(one.caller), id(one.server)} <= running]

    async def _unconvinced(self, questions: Sequence[Question]) -> list[Question]:
        """What is not as expected in time; after that nothing is waited for any more."""
        try:
            return await unconvinced(questions, self.adapter.documented.policies_act_within, self.scale)
        finally:
            self._doors = []


def _refuse(acting: Sequence[Question]) -> None:
    if acting:
        raise Inconclusive(f"a deleted policy is still in effect: {acting[0]}")


def _without(policies: Sequence[Policy], gone: Sequence[Policy]) -> list[Policy]:
    """All but these very ones; equal ones of somebody else stay."""
    return [one for one in policies if not any(one is other for other in gone)]
