"""Open-loop load of a client on a server, which continues when an instance of either is replaced."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import LoadOutcome, outcome_of
from pytest_meshcheck.model.policy_order import Met, met_in
from pytest_meshcheck.probe.protocol import messages as m

if TYPE_CHECKING:
    from pytest_meshcheck.model.workload import Workload


@dataclass(eq=False)
class Load:
    """A running load; ``outcome`` is set at the end of the block that started it.

    Attributes:
        plan: The requests of each instance of the client; the ids of all requests begin with that of the plan.
        servers: The running instances that its requests may have reached.
        outcome: The joined result.
    """

    plan: m.LoadPlan
    servers: "list[Workload]"
    outcome: LoadOutcome | None = None
    _client: "Workload" = field(init=False)
    _ended: list[m.LoadResult] = field(default_factory=list)
    _seen: list[m.Attempt] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        """The prefix of the ids of its requests."""
        return self.plan.request_id

    @property
    def result(self) -> LoadOutcome:
        """The outcome; RuntimeError while the load is running."""
        if self.outcome is None:
            raise RuntimeError("the load is still running: leave its block first")
        return self.outcome

    def met(self, examined: m.Property) -> tuple[Met, ...]:
        """What its requests met of policies, in their order; RuntimeError while it is running, or if its client moved.

        Another instance of the client has another clock.
        """
        if self.outcome is None or len(self._ended) > 1:
            raise RuntimeError("the order of requests is known once the load of one client has ended")
        return met_in(self._ended[0], examined)

    async def begin(self, client: "Workload") -> None:
        """Start the load on an instance of the client."""
        self._client = client
        await client.ask(m.StartLoad(plan=self._part(len(self._ended))), m.Done)

    async def move(self, client: "Workload", new_instance: "Workload") -> None:
        """Move the load to the new instance of a client, without a gap."""
        following = len(self._ended) + 1
        await new_instance.ask(m.StartLoad(plan=self._part(following)), m.Done)
        await self._end(client)
        self._client = new_instance

    async def keeps_up(self) -> None:
        """Raise Inconclusive if the machine cannot keep up with the schedule."""
        kept = await self._kept()
        if kept.overrun:
            rate = f"{self.plan.rate:g} requests per second"
            raise Inconclusive(f"the machine cannot carry the load: {rate} are sent {kept.late:.1f} s late")

    async def sent_so_far(self) -> int:
        """How many requests the present instance of the client has sent."""
        return (await self._kept()).sent

    async def leave(self, server: "Workload") -> None:
        """Keep the ledger of a server instance that is about to be removed, and receives no more requests."""
        self._seen += await server.attempts_of(self)
        self.servers = [one for one in self.servers if one is not server]

    async def finish(self) -> LoadOutcome:
        """End the load, await all answers, and join them with the ledgers."""
        await self._end(self._client)
        for server in self.servers:
            self._seen += await server.attempts_of(self)
        self.outcome = outcome_of(self._seen, *self._ended)
        return self.outcome

    async def _end(self, client: "Workload") -> None:
        part = self._part(len(self._ended))
        self._ended.append((await client.ask(m.FinishLoad(request_id=part.request_id), m.Loaded)).result)

    async def _kept(self) -> m.Kept:
        return await self._client.ask(m.KeepsUp(request_id=self._part(len(self._ended)).request_id), m.Kept)

    def _part(self, number: int) -> m.LoadPlan:
        """The plan of the client instance with this number, with request ids of its own."""
        suffix = f"-part{number}" if number else ""
        return msgspec.structs.replace(self.plan, request_id=f"{self.request_id}{suffix}")
