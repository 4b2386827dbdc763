"""A user's configuration on trial: the value of the fixture ``mesh_trial``."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.checks.own.chain_hazards import ChainCall
from pytest_meshcheck.checks.own.limit_hazards import Retried
from pytest_meshcheck.checks.port_effects import PortEffects
from pytest_meshcheck.manifests.call_graph import calls, chains
from pytest_meshcheck.manifests.expectations.expected import Expected
from pytest_meshcheck.manifests.settings import Setting, dead_ends, limit_of_one_attempt, settings, written_retries
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.observation import Attempt, Exchange
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.access import access, answers_itself, settle
from pytest_meshcheck.testbed.trial.chains import sent_through
from pytest_meshcheck.testbed.trial.effects import begun
from pytest_meshcheck.testbed.trial.executions import PATIENCE, Execution, Sent, calls_of, executions
from pytest_meshcheck.testbed.trial.stand_ins import StandIns


@dataclass(eq=False)
class Trial(StandIns):
    """The stand-ins of a plan, and observations of them.

    Attributes:
        expected: What their owner expects; None if nothing is said.
    """

    expected: Expected | None = None
    _observing: dict[str, asyncio.Task[PortEffects]] = field(default_factory=dict)
    """The observations of all ports, once a check has asked for one."""

    async def settle(self) -> None:
        """Wait until the configuration acts.

        Raises:
            Inconclusive: A probe is lost.
        """
        await settle(self)

    async def access(self, destination: str) -> tuple[Access, ...]:
        """Who reaches a port, e.g. ``shop/orders:8080``: each caller by name and by address.

        Two rounds of requests in a row have to agree; what still varies after 30 s is recorded as such.

        Raises:
            Inconclusive: A probe is lost.
        """
        return await access(self, self.destination(destination))

    async def executions(
        self, destination: str, method: str, answer: m.Answer, *, path: str = "/", patience: float = PATIENCE
    ) -> Sequence[Execution]:
        """A request of each caller of the mesh that is let in, and how often it was executed.

        Every stand-in behind the port answers it like this each time, after it was carried out. Callers wait for
        ``patience`` in seconds, at a scale of 1.

        Raises:
            Unsupported: The port is not declared as HTTP.
            Inconclusive: No caller of the mesh is let in, or a probe is lost.
        """
        return await executions(self, self.destination(destination), Sent(method, path, patience), answer)

    async def calls_of(self, caller: str) -> Sequence[Attempt]:
        """One attempt of a stand-in, e.g. ``shop/web``, at each port of HTTP and gRPC that lets it in.

        Raises:
            Inconclusive: None does, or a probe is lost.
        """
        return await calls_of(self, caller)

    async def answers_itself(self, destination: str) -> list[tuple[str, Exchange]]:
        """By name, what each stand-in behind a port answers to itself, where no mesh is in between."""
        return await answers_itself(self, self.destination(destination))

    async def effects(self, destination: str) -> PortEffects:
        """What the configuration of a port comes to: requests of each caller of the mesh, served and failed.

        The first check that asks has all ports observed, side by side; the others read what was seen then.

        Raises:
            Unsupported: The port is not declared as HTTP or gRPC.
            Inconclusive: A probe is lost.
        """
        spoken = self.destination(destination).declared.spoken
        if not spoken.facts.is_http:
            raise Unsupported(f"{destination} speaks {spoken}, which has neither methods nor answers")
        return (await self._observed())[destination].result()

    async def observation(self, destination: str) -> PortEffects:
        """The same of a port of any protocol; of one of bytes, who reached it and its idle connections.

        Raises:
            Inconclusive: A probe is lost.
        """
        return (await self._observed())[destination].result()

    async def effects_around(self, destination: str) -> tuple[PortEffects, tuple[Access, ...]]:
        """The same of a port of any protocol, and who reached those of other workloads in its namespace.

        Raises:
            Inconclusive: A probe is lost.
        """
        here, observed = self.destination(destination), await self._observed()
        behind = {str(backend) for backend, _ in here.backends}
        others = [
            one
            for one in self.plan.destinations
            if not one.external_host
            and one.namespace == here.namespace
            and behind.isdisjoint(str(backend) for backend, _ in one.backends)
        ]
        around = [each for one in others for each in observed[str(one)].result().access]
        return observed[destination].result(), tuple(around)

    async def chain_calls(self, destination: str) -> Sequence[ChainCall]:
        """Requests through the chains of two and more calls that end at a port, whose workloads fail each.

        Raises:
            Unsupported: The port is not declared as HTTP or gRPC, or no chain is known that reaches it.
            Inconclusive: A probe is lost.
        """
        seen, last = await self.effects(destination), self.destination(destination)
        spoken = [one for one in self.plan.destinations if one.declared.spoken.facts.is_http]
        access = [each for one in (await self._observed()).values() for each in one.result().access]
        known = chains(spoken, calls(self.expected or Expected(), access), last)
        if not known:
            raise Unsupported(
                f"no chain of calls to {seen.destination} is known; [[calls]] in meshcheck.toml says who calls whom"
            )
        sent = [call for chain in known for call in await sent_through(self, chain)]
        if not any(one.arrived for one in sent):
            raise Unsupported(f"no request through {known[0]} reaches its end, as one of these workloads is not let in")
        return sent

    def settings_along(self, sent: Sequence[ChainCall], what: Setting) -> tuple[str, ...]:
        """Where the manifests configure something about the ports of chains."""
        ports = dict.fromkeys(hop.port for call in sent for hop in call.hops)
        return tuple(dict.fromkeys(where for port in ports for where in self.settings(port, what)))

    def settings(self, destination: str, what: Setting) -> tuple[str, ...]:
        """Where the manifests configure something about a port, e.g. ``VirtualService a/b (k8s.yaml:3): spec.…``.

        A rule that leads to no service is a fault.
        """
        port = self.destination(destination)
        nowhere = dead_ends(self.plan, port) if what is Setting.FAULT else ()
        return (*settings(self.plan, port, what, self.home), *nowhere)

    def settings_around(self, destination: str, what: Setting) -> tuple[str, ...]:
        """Where the manifests configure something about the ports in the namespace of one."""
        namespace = self.destination(destination).namespace
        ports = [str(one) for one in self.plan.destinations if one.namespace == namespace]
        return tuple(dict.fromkeys(where for port in ports for where in self.settings(port, what)))

    def limit_of_one_attempt(self, destination: str) -> float | None:
        """The shortest limit of a single attempt that the manifests state for a port, in seconds; None without one."""
        return limit_of_one_attempt(self.plan, self.destination(destination))

    def written_retries(self, destination: str) -> tuple[Retried, ...]:
        """The retry policies in the manifests that are about every request to a port."""
        return written_retries(self.plan, self.destination(destination))

    async def close(self) -> None:
        """End observations that are under way, and remove what was made."""
        for one in self._observing.values():
            one.cancel()
        await asyncio.gather(*self._observing.values(), return_exceptions=True)
        await super().close()

    async def _observed(self) -> dict[str, asyncio.Task[PortEffects]]:
        """The observations, all of which have ended: a check must not be disturbed by those of others."""
        self._observing = self._observing or begun(self, self.expected.calls if self.expected else {})
        await asyncio.wait(self._observing.values())
        return self._observing
