"""Stalls of the run's own processes, which can explain a violation that rests on time."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Interval, Platform, Stall
from pytest_meshcheck.probe.process.limits import SHORTAGES, quoted
from pytest_meshcheck.probe.process.pulse import Pulse, now

AFTERMATH = 1.0
"""Seconds for which the effects of a stall last, such as a certificate that expired meanwhile."""

NOTABLE = 0.5
"""Seconds of a stall from which a failed control mentions it."""

OURS = "pytest"


@dataclass(eq=False)
class StallMonitor:
    """The stalls of this process and of all others of a session, since the current check began.

    Attributes:
        platform: The platform that the others run on.
        pulse: The pulse of this process, which contains the control plane of an embedded mesh.
    """

    platform: Platform
    pulse: Pulse = field(default_factory=Pulse)
    _since: float = 0.0
    _earlier: list[tuple[float, float]] = field(default_factory=list)

    def begin_check(self) -> None:
        """Ignore earlier stalls, except for their aftermath."""
        self._since, self._earlier = now(), []

    def reach_back(self, since: float, until: float | None = None) -> None:
        """The current check uses observations made between moments of ``probe.process.pulse.now``; None is now."""
        self._earlier.append((since, now() if until is None else until))

    @property
    def longest(self) -> Mapping[str, float]:
        """The longest stall in seconds since the session began, by kind of process."""
        return {OURS: self.pulse.longest, **self.platform.longest_stalls()}

    async def excuse(self, violation: Violation) -> None:
        """Return if no stall can explain a violation; raise Inconclusive in its place otherwise.

        Raises:
            Inconclusive: It rests on time, and a process stalled for long enough to explain it, or ran out of a
                resource; names the process and the time.
        """
        if violation.rests_on is None:
            return
        if number := quoted(violation.actual):
            raise Inconclusive(f"a data plane ran out of {SHORTAGES[number]}, which can explain this: {violation}")
        stalls = await self._stalls(violation.raised, violation.rests_on.during)
        needed = violation.rests_on.lost
        explain = [one for one in stalls if one.standstill.shortage or one.standstill.lost >= needed]
        if explain:
            worst_first = sorted(explain, key=_severity, reverse=True)
            raise Inconclusive(f"{', '.join(map(str, worst_first))}, which can explain this: {violation}")

    async def explain(self, failure: Inconclusive) -> Inconclusive:
        """The same failure of a control, with the worst stall or shortage meanwhile."""
        try:
            stalls = await self._stalls(now(), AFTERMATH)
        except Inconclusive:
            return failure  # a process is gone: the failure says so already, or it is found before the next check
        notable = [one for one in stalls if one.standstill.shortage or one.standstill.longest >= NOTABLE]
        if not notable:
            return failure
        worst = max(notable, key=_severity)
        return Inconclusive(f"{failure} (meanwhile {worst})")

    async def _stalls(self, until: float, during: float) -> list[Stall]:
        worst: dict[str, Stall] = {}
        for begun, ended in (*self._earlier, (self._since, until)):
            for one in await self._within(Interval(begun - AFTERMATH, ended, during)):
                worst[one.process] = max(worst.get(one.process, one), one, key=_severity)
        return list(worst.values())

    async def _within(self, interval: Interval) -> list[Stall]:
        ours = Stall(OURS, self.pulse.over(interval.since, interval.until, interval.during))
        return [ours, *await self.platform.stalls(interval)]


def _severity(stall: Stall) -> tuple[str, float, float]:
    return stall.standstill.shortage, stall.standstill.lost, stall.standstill.longest
