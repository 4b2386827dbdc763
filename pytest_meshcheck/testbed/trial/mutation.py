"""Mutation of a configuration: each part is taken out in turn, and what changes without it is observed.

Whether a part that changes nothing does nothing, or was not waited for long enough, is decided by this bound: after it
was taken out, every data plane has to show a policy that was changed later (``marker``), and then all measurements have
to stay as they were for ``QUIET`` seconds. Where a data plane does not show that policy, it is ``QUIET_UNMARKED``
seconds. A change is believed once two rounds in a row show it.

Who is let in is decided by the data plane of the server, whose listener serves connections from before a change as
before, once more each, while it drains them. For policies about access a quiet time has at least as many rounds
(``part_stimuli.USED_UP``) as use up the pooled connections of each caller.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pytest_meshcheck.checks.port_effects import STALL
from pytest_meshcheck.manifests.mutation.parts import Part
from pytest_meshcheck.manifests.mutation.stimuli import Stimuli, stimuli
from pytest_meshcheck.manifests.mutation.targets import Configuration, concerned, rivals
from pytest_meshcheck.manifests.mutation.visibility import is_known, not_taken_out, unseen
from pytest_meshcheck.manifests.mutation.without_effect import reason
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.testbed.trial.behaviour import Aspect, Cell, Stimulus, observed
from pytest_meshcheck.testbed.trial.marker import Marker
from pytest_meshcheck.testbed.trial.observation import Observation, in_words, pool
from pytest_meshcheck.testbed.trial.part_stimuli import PartStimuli
from pytest_meshcheck.testbed.trial.removal import by_age, put_back, take_out
from pytest_meshcheck.testbed.trial.stand_ins import StandIns

QUIET = 3.0
"""Seconds without a change, before the scale, once every data plane has shown that it follows."""

QUIET_UNMARKED = 12.0
"""The same where one does not show it: longer than istiod gathers changes (``PILOT_DEBOUNCE_MAX``, 10 s)."""

BACK_WITHIN = 30.0
"""Seconds until a part that was put back acts again."""

LONGEST_WAIT = 60.0
"""Seconds after which what never gets quiet is looked at as it is."""

CONFIRMED = 4
"""Further rounds that have to show a change which the quick ones did not; one where a service stalls."""

PAUSE = 0.2
"""Seconds between two rounds."""

TRIES = 5
"""Rounds in which two in a row have to agree before anything is taken out."""

BY_CHANCE = 12
"""Rounds where requests go to one of several workloads, or rules act on a share of them."""

BY_CHANCE_AT_MOST = 40
"""Rounds after which a value that was not seen does not occur: one of 20 % is missed once in 7500 times."""

OPTION = "--mesh-manifests-budget"


@dataclass(frozen=True)
class Removal:
    """What became of a configuration without one of its parts.

    Attributes:
        changes: What was different, in words; empty if nothing was.
        reason: Why the part does nothing, where the manifests tell.
        unseen: Why it may act although nothing changed; empty if that would have been seen.
        seconds: How long all of it took.
    """

    changes: tuple[str, ...]
    reason: str
    unseen: str
    seconds: float


@dataclass(eq=False)
class Mutation:
    """The removals of one trial.

    Attributes:
        trial: The stand-ins.
        around: The manifests.
        budget: Seconds that all removals may take; the one that is under way when they are over is completed.
        spent: Seconds that they have taken.
        broken: Why no further part can be taken out; empty if one can.
    """

    trial: StandIns
    around: Configuration
    budget: float
    spent: float = 0.0
    broken: str = ""
    _before: Observation = field(init=False)
    _marker: Marker = field(init=False)

    def __post_init__(self) -> None:
        self._before = Observation(self._varies)
        self._marker = Marker(self.trial)

    async def without(self, part: Part) -> Removal:
        """Take a part out, observe, and put it back.

        A run that is cut off meanwhile leaves nothing behind: what is there goes with the trial, and what was taken out
        is not made again.

        Raises:
            Unsupported: Its effect is none of those that are measured.
            Inconclusive: The budget is used up, a probe is lost, or an earlier part did not come to act again.
        """
        if all(one is not part.resource for one in self.around.plan.resources):
            raise Unsupported(f"{part} ({part.place}) is no resource of this mesh, and was left out")
        if why := not_taken_out(part, self.around):
            raise Unsupported(f"{part} ({part.place}): {why}")
        if why := self.broken or self._used_up(part):
            raise Inconclusive(why)
        begun = time.monotonic()
        try:
            changes = await self._changes(part)
        finally:
            seconds = time.monotonic() - begun
            self.spent += seconds
        found = reason(part, self.around)
        hidden = "" if found and found.is_enough else "; ".join(dict.fromkeys(unseen(part, self.around)))
        return Removal(changes, found.words if found else "", hidden, seconds)

    def _used_up(self, part: Part) -> str:
        if self.spent < self.budget:
            return ""
        return f"{part} was not taken out: the {self.budget:g} s of {OPTION} are used up; raise it to reach this one"

    async def _changes(self, part: Part) -> tuple[str, ...]:
        sent = PartStimuli.of(part, self.around)
        ages = await by_age(self.trial, [part.resource, *rivals(part.resource, self.around)])
        await self._before_it(sent)
        await take_out(self.trial, part)
        try:
            changed, after = await self._without(sent)
        except Exception:
            await put_back(self.trial, part, ages)
            raise
        await put_back(self.trial, part, ages)
        await self._until_back(part, sent, [one.stimulus for one in changed])
        if set(changed) - set(self._certain(after)):
            await self._until_like(self._before, after)
            changed = [one for one in changed if self._before.values[one] != after.values[one]]
        return tuple(f"{one}: {self._before.of(one)}, without it {after.of(one)}" for one in changed)

    async def _before_it(self, sent: "PartStimuli") -> None:
        """Observe what was not observed for another part, until two rounds in a row agree."""
        left = [one for one in sent.all if not self._before.has(one)]
        agreed = left
        for _ in range(TRIES):
            if not left:
                break
            seen = await observed(self.trial, left, self._known)
            different = {one.stimulus for one in self._before.certainly_new(seen)}
            different |= {one.stimulus for one in seen if not self._before.rounds[one]}
            self._before.add(seen)
            left = [one for one in left if one in different]
        await self._by_chance(self._before, agreed)

    async def _without(self, sent: "PartStimuli") -> tuple[list[Cell], Observation]:
        """The cells that are different while a part is out, and all that was observed meanwhile."""
        after = Observation(self._varies)
        marking = asyncio.ensure_future(self._marker.unfollowed())
        try:
            changed = await self._until_changed(sent, after, marking)
        finally:
            await asyncio.gather(marking, return_exceptions=True)  # a probe would go on with it, if it was cancelled
        if changed:
            return changed, after
        after = Observation(self._varies)
        after.add(await observed(self.trial, sent.all, self._known))
        if unlike := await self._confirmed(after):
            return unlike, after
        await self._by_chance(after, sent.all)
        await self._until_like(after, self._before)
        return self._before.unlike(after), after

    async def _until_changed(
        self, sent: "PartStimuli", after: Observation, marking: "asyncio.Future[list[str]]"
    ) -> list[Cell]:
        """The cells that two rounds in a row show changed, or two at all where values vary; none after a quiet time."""
        last: set[object] = set()
        since, quiet, until = time.monotonic(), 0, time.monotonic() + LONGEST_WAIT * self.trial.scale
        while time.monotonic() < until:
            seen = await observed(self.trial, sent.quick, self._known)
            changed = {cell: pool(cell) if self._varies(cell) else cell for cell in self._before.certainly_new(seen)}
            after.add(seen)
            if both := [cell for cell, what in changed.items() if what in last]:
                return sorted(both, key=str)
            last = {what for what in last if not isinstance(what, Cell)} | set(changed.values())
            quiet += 1
            if changed or not marking.done():
                since, quiet = time.monotonic(), 0
            elif quiet >= sent.rounds and time.monotonic() - since > self._quiet_time(marking.result()):
                break
            await asyncio.sleep(PAUSE)
        return []

    def _quiet_time(self, unfollowed: Sequence[str]) -> float:
        return self.trial.scale * (QUIET_UNMARKED if unfollowed else QUIET)

    async def _confirmed(self, after: Observation) -> list[Cell]:
        """The cells of a round that are different, and stay so."""
        unlike = self._certain(after)
        stalls = any(one.stimulus.failure == STALL for one in unlike)
        for _ in range(1 if stalls else CONFIRMED):
            if unlike:
                after.add(await observed(self.trial, list({one.stimulus for one in unlike}), self._known))
                unlike = self._certain(after)
        return unlike

    async def _until_back(self, part: Part, sent: "PartStimuli", changed: Sequence[Stimulus]) -> None:
        """Wait until enough rounds in a row are as before, and every data plane follows.

        Raises:
            Inconclusive: They are not in time; then nothing else can be taken out.
        """
        again, within = list(dict.fromkeys([*sent.quick, *changed])), BACK_WITHIN * self.trial.scale
        until, good = time.monotonic() + within, 0
        await self._marker.unfollowed()
        while good < (sent.rounds if changed else 1):
            seen = await observed(self.trial, again, self._known)
            different = self._before.certainly_new(seen)
            good = 0 if different else good + 1
            if different and time.monotonic() > until:
                cell = different[0]
                change = f"{cell}: {self._before.of(cell)} before, {in_words(seen[cell])} now"
                self.broken = f"{part} was put back, and {within:.0f} s later it does not act as before: {change}"
                raise Inconclusive(self.broken)

    async def _by_chance(self, found: Observation, sent: Sequence[Stimulus]) -> None:
        """Observe what varies by chance as often as it takes to see most values."""
        while left := found.too_few(sent, BY_CHANCE):
            found.add(await observed(self.trial, left, self._known))

    async def _until_like(self, found: Observation, other: Observation) -> None:
        """Observe what varies by chance, and is unlike another observation, until it is alike or clearly is not."""
        while left := found.too_few({one.stimulus for one in found.unlike(other)}, BY_CHANCE_AT_MOST):
            found.add(await observed(self.trial, left, self._known))

    def _certain(self, after: Observation) -> list[Cell]:
        return self._before.certainly_new({cell: frozenset(after.values[cell]) for cell in after.rounds})

    @cached_property
    def _known(self) -> Stimuli:
        """The limits and delays of all resources."""
        return stimuli(self.around.plan.resources)

    @cached_property
    def _ports_of_chance(self) -> frozenset[str]:
        """The ports where rules act on a share of the requests."""
        chancy = [one for one in self.around.plan.resources if is_known(one) and stimuli([one]).by_chance]
        return frozenset(str(port) for one in chancy for port in concerned(one, self.around))

    def _varies(self, cell: Cell) -> bool:
        """Whether a request by the name of a service can be answered in several ways by chance."""
        port = cell.stimulus.destination
        several = cell.aspect is Aspect.WORKLOADS and len({str(one) for one, _ in port.backends}) > 1
        return not cell.address_of and (several or str(port) in self._ports_of_chance)
