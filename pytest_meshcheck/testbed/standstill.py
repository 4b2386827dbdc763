"""What a violation that rests on time has to be explained by before it counts: a process that stood still."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Interval, Platform, Stall
from pytest_meshcheck.probe.process.limits import OUT_OF_FILES
from pytest_meshcheck.probe.process.pulse import Pulse, now

AFTERMATH = 1.0
"""Seconds for which the effects of a standstill last, such as a certificate that ended meanwhile."""

NOTABLE = 0.5
"""Seconds from which on a standstill is named where a control failed."""

OURS = "pytest"


@dataclass(eq=False)
class Standstills:
    """The pulse of this process and of all others of a session, since the check that runs now began.

    Attributes:
        platform: Where the others run.
        pulse: That of this process, in which the control plane of an embedded mesh lives as well.
    """

    platform: Platform
    pulse: Pulse = field(default_factory=Pulse)
    _since: float = 0.0

    def begin_check(self) -> None:
        """What happened before, but for its aftermath, is not asked about."""
        self._since = now()

    def reach_back(self, since: float) -> None:
        """The check that runs now judges what was seen since this moment of ``probe.pulse.now``."""
        self._since = min(self._since, since)

    @property
    def longest(self) -> Mapping[str, float]:
        """By kind of process, the longest standstill in seconds since the session began."""
        return {OURS: self.pulse.longest, **self.platform.longest_stalls()}

    async def excuse(self, violation: Violation) -> None:
        """Let a violation be, or raise Inconclusive in its place.

        Raises:
            Inconclusive: It rests on time, and a process stood still for long enough to explain it, or has run out of
                something; says which, and for how long.
        """
        if violation.rests_on is None:
            return
        if OUT_OF_FILES in violation.actual:
            raise Inconclusive(f"a data plane ran out of open files, which can explain this: {violation}")
        stalls = await self._stalls(violation.raised, violation.rests_on.during)
        needed = violation.rests_on.lost
        explain = [one for one in stalls if one.standstill.shortage or one.standstill.lost >= needed]
        if explain:
            worst_first = sorted(explain, key=lambda one: (one.standstill.shortage, one.standstill.lost), reverse=True)
            raise Inconclusive(f"{', '.join(map(str, worst_first))}, which can explain this: {violation}")

    async def explain(self, failure: Inconclusive) -> Inconclusive:
        """The same failure of a control, with what stood still or ran out of something meanwhile."""
        try:
            stalls = await self._stalls(now(), AFTERMATH)
        except Inconclusive:
            return failure  # somebody is gone, which it says already, or which is found before the next check
        notable = [one for one in stalls if one.standstill.shortage or one.standstill.longest >= NOTABLE]
        if not notable:
            return failure
        worst = max(notable, key=lambda one: (one.standstill.shortage, one.standstill.longest))
        return Inconclusive(f"{failure} (meanwhile {worst})")

    async def _stalls(self, until: float, during: float) -> list[Stall]:
        interval = Interval(self._since - AFTERMATH, until, during)
        ours = Stall(OURS, self.pulse.over(interval.since, interval.until, interval.during))
        return [ours, *await self.platform.stalls(interval)]
