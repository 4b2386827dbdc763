"""How far the data planes of a trial have followed the configuration: shown by a policy that is changed after it."""

from collections.abc import Sequence

from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import Timeout, mark
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.probe.protocol.messages import Property
from pytest_meshcheck.testbed.convergence.conditions import Condition, unmet
from pytest_meshcheck.testbed.trial.stand_ins import STRANGER, StandIns

FIRST = 600
"""Seconds of the first limit, which no request reaches; each further one is a second longer."""


class Marker:
    """A time limit for the service of the stranger, about which no manifest is.

    Each data plane shows by a header which limit it has. Once it shows the newest one, it has been sent what was
    changed before that, too: istiod sends the listeners and clusters of a version ahead of its routes
    (https://github.com/istio/istio/blob/1.30.3/pilot/pkg/xds/ads.go, ``PushOrder``). Other control planes give no such
    promise, nor do the watches of different kinds; so whoever relies on it waits a little longer.
    """

    def __init__(self, trial: StandIns) -> None:
        self._trial = trial
        self._number = FIRST
        self._blind: frozenset[str] = frozenset()

    async def unfollowed(self) -> list[str]:
        """Change the limit, and wait for it; returns the callers whose data planes did not show it in time.

        Callers that do not show the first limit, such as those with a ``Sidecar`` that leaves the stranger out, are not
        waited for again.

        Raises:
            Inconclusive: A probe is lost, or the cluster does not take the limit.
        """
        is_first, within = self._number == FIRST, self._trial.adapter.documented.policies_act_within
        self._number += 1
        server = next(one.workload for one in self._trial.outsiders if one.name == STRANGER.name)
        policy = Timeout(server.spec, float(self._number))
        try:
            limits: Sequence[Manifest] = self._trial.adapter.render([policy])
        except Unsupported:
            return self._names()
        await self._trial.platform.apply(limits)
        expected = mark([policy])
        conditions = [
            Condition(one, server, server.spec.ports[0].name, Property.POLICIES, expected)
            for name, one in self._callers()
            if name not in self._blind
        ]
        left = await unmet(conditions, within, self._trial.scale) if conditions and within else conditions
        if is_first:
            self._blind = frozenset(str(one.caller) for one in left)
        return sorted({*self._blind, *(str(one.caller) for one in left)})

    def _callers(self) -> list[tuple[str, Workload]]:
        """Each replica of each stand-in that is part of the mesh."""
        enrolled = {one.name for one in self._trial.callers() if one.enrolled}
        return [(str(one), one) for name, one in self._trial.running if name in enrolled]

    def _names(self) -> list[str]:
        return [name for name, _ in self._callers()]
