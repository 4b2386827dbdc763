"""The one rule for every policy: apply, wait, delete, wait.

1. **Apply.** The mesh renders all policies together, and the difference is applied (``applied``).
2. **Wait** until it is in effect. ``settled()`` waits for everything that the mesh can know. If the mesh documents that
   this is not enough (``Documented.policies_act_within``), requests have to show the effect several times in a row
   (``conditions``): for a policy about servers, requests of a client outside the mesh; for a policy about a service,
   requests of each of its callers. A policy that is not in effect in time is left to the check, which then finds what
   the mesh did.
3. **Delete** it when the block of the check ends.
4. **Wait** until the state from before is back. A deleted policy that is still in effect makes the check that would
   meet it inconclusive, because that check would test the wrong policy, and so each later one until it no longer is.

Where requests have to show the effect, most of the waiting is deferred in one cache (``cache``):

- A policy about servers is applied, verified and deleted at once; the wait after its deletion ends before the next call
  or policy, whichever comes first.
- A policy about a service is verified for a caller before its next call to that service. It is deleted when another
  policy is applied, when a check calls the service without it, or before a new workload starts, which it could affect.

``MESHCHECK_CONVERGENCE_CACHE=off`` turns the cache off, so that each step waits for everything.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import StillInEffect
from pytest_meshcheck.model.policy import (
    EgressPolicy,
    Policy,
    ServerPolicy,
    ServicePolicy,
    about_service,
    about_workloads,
    may_connect,
)
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.testbed.convergence.applied import AppliedPolicies
from pytest_meshcheck.testbed.convergence.cache import ConvergenceCache
from pytest_meshcheck.testbed.convergence.conditions import (
    SOON,
    Condition,
    Subject,
    admission,
    allowed,
    egress,
    present,
    reachability,
    unmet,
    without,
)
from pytest_meshcheck.testbed.workloads import Stage


@dataclass(eq=False)
class PolicyLifecycle:
    """The policies of one session.

    Attributes:
        adapter: The mesh.
        stage: The workloads, whose requests show the policies in effect.
        scale: The factor for time limits.
        applied: The policies that the mesh has now.
        cache: The deferred changes.
    """

    adapter: Mesh
    stage: Stage
    scale: float
    applied: AppliedPolicies = field(init=False)
    cache: ConvergenceCache = field(init=False)
    _without_policies: dict[Subject, Condition] = field(default_factory=dict)
    """What outsiders meet without any policy of ours, polled once: another process of the run may have just changed the
    whole mesh when it would be polled again."""
    _overdue: set[Subject] = field(default_factory=set)
    """The subjects that a deleted policy still affected after the documented time."""
    _gave_up: float = -math.inf
    """When the last wait for a deletion failed, by ``time.monotonic``; callers queued by then fail at once."""
    _newcomers: list[Workload] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        platform = self.stage.platform
        self.applied = AppliedPolicies(self.adapter, platform)
        self.cache = ConvergenceCache(self.adapter, self.scale, platform.journal)

    async def apply(self, policies: Sequence[Policy]) -> list[Condition]:
        """Apply policies and wait; returns what outsiders met before, and have to meet again after their deletion.

        Raises:
            Unsupported: The mesh cannot express one of them; nothing has changed.
            Inconclusive: A data plane rejects them, or a deleted policy is still in effect; they are deleted again.
        """
        if self._overdue:
            await self.flush()
        conditions = await self._admission(policies)
        async with self._lock:
            before = await self._admission_before(conditions)
            try:
                await self._apply(policies, conditions)
            except BaseException:
                await self._delete(policies, before, at_once=True)
                raise
            return before

    async def delete(self, policies: Sequence[Policy], before: Sequence[Condition]) -> None:
        """Delete policies, and wait; deferred deletions happen before a call could meet them.

        Raises:
            StillInEffect: A deleted policy is.
        """
        async with self._lock:
            await self._delete(policies, before)
            if not self.cache.lazy:
                await self._wait_for_deletion()

    async def flush(self) -> None:
        """Delete everything that the cache has kept, and wait until outsiders no longer meet it.

        Raises:
            StillInEffect: A deleted policy is.
        """
        if self.cache.is_empty:
            return
        asked = time.monotonic()
        async with self._lock:
            if self._gave_up > asked and (overdue := self._overdue_among(self._unconfirmed_except(()))):
                raise StillInEffect(str(overdue[0]))
            await self._replace(self._in_use())
            await self._wait_for_deletion()

    async def before_call(self, caller: Workload | None, server: Workload, port: str) -> None:
        """Wait until a caller, or for None each of them, meets the policies in use and no others.

        Raises:
            StillInEffect: A deleted policy is.
        """
        if not self.adapter.documented.needs_polling:
            return
        if self.cache.unconfirmed or self.cache.is_about((server.namespace, server.name)):
            await self.flush()
        callers = self.stage.running if caller is None else [caller]
        # A caller that a network policy blocks gets no response, so its requests cannot show which policies act.
        deciding = about_workloads(self._in_use())
        allowed_callers = [one for one in callers if may_connect(deciding, one, server, port)]
        await asyncio.gather(*(self.cache.verify(one, server, port) for one in allowed_callers))

    async def introduce(self, newcomer: Workload) -> None:
        """Wait until callers reach a new workload, and it reaches the others; it keeps who did not (``unreached``).

        That may be the subject of a check: a port that bypasses the data plane, for example. Services with a policy are
        left out: while another check has it in use, it may let no request through.
        """
        if not self.adapter.documented.needs_polling:
            return
        await self.flush()
        others, in_use = [*self.stage.running, *self._newcomers], self._in_use()
        conditions = without(about_service(in_use), allowed(about_workloads(in_use), reachability(newcomer, others)))
        self._newcomers.append(newcomer)  # of two that start together, the later one is introduced to the other
        try:
            left = await unmet(conditions, self.adapter.documented.follows_within, self.scale)
        finally:
            self._newcomers.remove(newcomer)
        if left:
            newcomer.unreached = f"{left[0].caller} does not reach {left[0].server} on port {left[0].port}"

    async def _apply(self, policies: Sequence[Policy], conditions: Sequence[Condition]) -> None:
        name, begun = ", ".join(type(policy).__name__ for policy in policies), time.monotonic()
        journal = self.stage.platform.journal
        journal.add("policy", name, await self._replace([*self._in_use(), *policies]))
        if not self.adapter.documented.needs_polling:
            journal.add("in effect", name, time.monotonic() - begun)
            return
        left = self._unconfirmed_except(conditions)
        if conditions or left:
            wrong = await self._unmet([*conditions, *left])
            seconds = round(time.monotonic() - begun, 3)
            journal.add("policy acts", name, f"not after {seconds} s: {wrong[0]}" if wrong else f"after {seconds} s")
            if not wrong:
                journal.add("in effect", name, seconds)
            self._refuse([one for one in wrong if one in left])
        if not self.cache.lazy:
            await self.cache.verify_all(self.stage.running)

    async def _replace(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Have exactly these applied and settled; returns the resources that this creates or changes."""
        changed = await self.applied.replace(policies)
        self.cache.replaced(policies)
        await self.adapter.settled()
        return changed

    async def _delete(self, policies: Sequence[Policy], before: Sequence[Condition], *, at_once: bool = False) -> None:
        """Delete policies, or leave those about services to the cache, without waiting."""
        needs_polling = self.adapter.documented.needs_polling
        deferred = needs_polling and self.cache.lazy and not (at_once or self.stage.starting)
        gone = [one for one in policies if not (deferred and isinstance(one, ServicePolicy))]
        undeleted = [*self.cache.undeleted, *_without(policies, gone)]
        try:
            if gone:
                await self._replace(_without(self.applied.policies, gone))
        finally:
            self.cache.undeleted = undeleted
            if needs_polling:
                self.cache.await_again(before)

    async def _wait_for_deletion(self) -> None:
        if self.cache.unconfirmed:
            self._refuse(await self._unmet(self._unconfirmed_except(())))
        if not self.cache.lazy:
            await self.cache.verify_all(self.stage.running)

    def _in_use(self) -> list[Policy]:
        """The applied policies, except for those that checks have deleted."""
        return _without(self.applied.policies, self.cache.undeleted)

    async def _admission(self, policies: Sequence[Policy]) -> list[Condition]:
        """What callers whom policies admit or refuse have to meet under them, if that has to be polled."""
        if not self.adapter.documented.needs_polling:
            return []
        outgoing = egress([one for one in policies if isinstance(one, EgressPolicy)], self.stage.running)
        of_servers = _of_servers(policies)
        if not of_servers:
            return outgoing
        outsider = await self.stage.workload("outsider")
        return [*outgoing, *admission(of_servers, outsider, self.stage.running, beside=_of_servers(self._in_use()))]

    async def _admission_before(self, conditions: Sequence[Condition]) -> list[Condition]:
        """What outsiders meet now, or will meet once deleted policies are no longer in effect."""
        if about_workloads(self.applied.policies):
            known = {condition.subject: condition for condition in self.cache.unconfirmed}
            polled = await present([one for one in conditions if one.subject not in known], self.scale)
        else:
            known = self._without_policies
            polled = await self._present_without_policies([one for one in conditions if one.subject not in known])
        known |= {condition.subject: condition for condition in polled}
        return [
            replace(one, expected=known[one.subject].expected, drops=known[one.subject].drops) for one in conditions
        ]

    async def _present_without_policies(self, conditions: Sequence[Condition]) -> list[Condition]:
        """What outsiders meet where no policy acts; a refusal counts only if it lasts.

        It may be transient: a deleted policy still acts, or a new service is not yet known to their node. As the state
        without policies, it would be awaited after every later deletion.
        """
        if not conditions:
            return []
        await self._wait_for_deletion()
        seen = await present(conditions, self.scale)
        if refused := [replace(one, expected=True, drops=False) for one in seen if not one.expected]:
            await unmet(refused, SOON, self.scale)
            seen = await present(conditions, self.scale)
        return seen

    def _unconfirmed_except(self, conditions: Sequence[Condition]) -> list[Condition]:
        """What to confirm between workloads that still run, except for the subjects of new conditions."""
        covered, running = {condition.subject for condition in conditions}, {id(one) for one in self.stage.running}
        left = [one for one in self.cache.unconfirmed if one.subject not in covered]
        return [one for one in left if {id(one.caller), id(one.server)} <= running]

    async def _unmet(self, conditions: Sequence[Condition]) -> list[Condition]:
        """The conditions that are not met in time; after that nothing is left to confirm."""
        known = len(self._overdue_among(conditions)) == len(conditions)
        try:
            return await unmet(conditions, SOON if known else self.adapter.documented.follows_within, self.scale)
        finally:
            self.cache.unconfirmed = []

    def _refuse(self, wrong: Sequence[Condition]) -> None:
        """Raise ``StillInEffect`` if something is wrong; it stays unconfirmed, so that later checks meet it as well."""
        self._overdue = {condition.subject for condition in wrong}
        self.cache.await_again(wrong)
        if wrong:
            self._gave_up = time.monotonic()
            for subject in self._overdue:  # what outsiders meet without policies may have been polled too early
                self._without_policies.pop(subject, None)
            raise StillInEffect(str(wrong[0]))

    def _overdue_among(self, conditions: Sequence[Condition]) -> list[Condition]:
        return [condition for condition in conditions if condition.subject in self._overdue]


def _of_servers(policies: Sequence[Policy]) -> list[ServerPolicy]:
    return [policy for policy in policies if isinstance(policy, ServerPolicy)]


def _without(policies: Sequence[Policy], gone: Sequence[Policy]) -> list[Policy]:
    """All but these very objects; equal ones of another owner stay."""
    return [one for one in policies if not any(one is other for other in gone)]
