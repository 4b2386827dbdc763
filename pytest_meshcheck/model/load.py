"""Open-loop load of a client on a server, which continues when an instance of either is replaced."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import LoadOutcome, join
from pytest_meshcheck.probe.protocol import messages as m

if TYPE_CHECKING:
    from pytest_meshcheck.model.workload import Workload


@dataclass(eq=False)
class Load:
    """A load under way; ``outcome`` is there once the block that it was started in is left.

    Attributes:
        plan: What each instance of the client sends; the ids of all requests begin with that of the plan.
        servers: The instances that it can have reached, and that still run.
        outcome: What became of it.
    """

    plan: m.LoadPlan
    servers: "list[Workload]"
    outcome: LoadOutcome | None = None
    _ended: list[m.LoadResult] = field(default_factory=list)
    _seen: list[m.Attempt] = field(default_factory=list)

    @property
    def request_id(self) -> str:
        """What the ids of its requests begin with."""
        return self.plan.request_id

    @property
    def result(self) -> LoadOutcome:
        """The outcome; RuntimeError while the load is still under way."""
        if self.outcome is None:
            raise RuntimeError("the load is still under way: leave its block first")
        return self.outcome

    async def begin(self, client: "Workload") -> None:
        """Have an instance of the client send."""
        await client.ask(m.StartLoad(plan=self._part(len(self._ended))), m.Done)

    async def move(self, client: "Workload", successor: "Workload") -> None:
        """Have another instance of the client send in place of one that is to go; there is no gap between them."""
        following = len(self._ended) + 1
        await successor.ask(m.StartLoad(plan=self._part(following)), m.Done)
        await self._end(client)

    async def keeps_up(self, client: "Workload") -> None:
        """Raise Inconclusive as soon as it is clear that the machine does not carry the load."""
        kept = await client.ask(m.KeepsUp(request_id=self._part(len(self._ended)).request_id), m.Kept)
        if kept.overrun:
            rate = f"{self.plan.rate:g} requests per second"
            raise Inconclusive(f"the machine does not carry the load: {rate} are sent {kept.late:.1f} s late")

    async def leave(self, server: "Workload") -> None:
        """Keep what an instance of the server has seen that nobody sends to any more, and that is to go."""
        self._seen += await server.saw_of(self)
        self.servers = [one for one in self.servers if one is not server]

    async def finish(self, client: "Workload") -> LoadOutcome:
        """End it, await all answers, and join them with what the servers saw."""
        await self._end(client)
        for server in self.servers:
            self._seen += await server.saw_of(self)
        self.outcome = join(self._seen, *self._ended)
        return self.outcome

    async def _end(self, client: "Workload") -> None:
        part = self._part(len(self._ended))
        self._ended.append((await client.ask(m.FinishLoad(request_id=part.request_id), m.Loaded)).result)

    def _part(self, number: int) -> m.LoadPlan:
        """What the instance of this number sends, under ids of its own."""
        suffix = f"-part{number}" if number else ""
        return msgspec.structs.replace(self.plan, request_id=f"{self.request_id}{suffix}")
