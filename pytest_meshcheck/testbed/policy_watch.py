"""What the requests of a load meet while policies change."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.policy_order import Flap, Met, Step, flaps, unmet
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.probe.protocol.messages import PolledValue, Property
from pytest_meshcheck.testbed.arrivals import more_sent


@dataclass
class PolicyWatch:
    """A load whose requests show policies, and the steps that these have gone through.

    Attributes:
        load: The load.
        client: Who sends it.
        server: Whom to.
        port: The name of the server's port.
        examined: The property of an answer that shows policies.
        steps: The steps so far.
    """

    load: Load
    client: Workload
    server: Workload
    port: str
    examined: Property
    steps: list[Step] = field(default_factory=list)

    @property
    def met(self) -> tuple[Met, ...]:
        """What the requests met, in their order; RuntimeError while the load is running."""
        return self.load.met(self.examined)

    @property
    def unmet(self) -> tuple[PolledValue, ...]:
        """The values of steps that no request has met."""
        return unmet(self.steps, self.met)

    @property
    def flaps(self) -> tuple[Flap, ...]:
        """How often the policies went back."""
        return flaps(self.steps, self.met)

    async def acts(self, sent: int) -> None:
        """Note the policies that act by now; ``sent`` requests had been sent before they were asked for."""
        answer = await self.client.get(self.server, self.port)
        self.steps.append(Step(answer.shows(self.examined), sent))


async def under_watch(change: Awaitable[object], watches: Sequence[PolicyWatch], *, number: int, within: float) -> None:
    """Make a change of policies, and wait until so many requests of each load were sent under it.

    If they are not sent within so many seconds, this returns too.
    """
    sent = [await watch.load.sent_so_far() for watch in watches]
    await change
    for watch, before in zip(watches, sent, strict=True):
        await watch.acts(before)
    await asyncio.gather(*(more_sent(watch.load, number=number, within=within) for watch in watches))
