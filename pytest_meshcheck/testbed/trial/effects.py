"""Observation of a user's ports: requests of each caller, served and failed, and their attempts at the stand-ins."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.port_effects import GRPC, STALL, Arrival, Call, PortEffects, Shape
from pytest_meshcheck.manifests.conditions import conditioned
from pytest_meshcheck.manifests.extent import may_arrive, sampled
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.observation import Ending, Exchange
from pytest_meshcheck.model.workload import PATIENCE as UNSCALED, Workload, new_id
from pytest_meshcheck.probe.process.pulse import now
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.access import access, form_of
from pytest_meshcheck.testbed.trial.executions import Sent
from pytest_meshcheck.testbed.trial.idle import idle_limit
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.ways import AT_ONCE, request_on, way_by_name

PATIENCE = 16.0
"""Seconds that a caller waits for a service that stalls: longer than the default limit of Envoy, 15 s."""

SAMPLES = 10
"""Requests of each caller that every service serves; a fault by chance shows in some of them."""

SAMPLED_WITHIN = 10.0
"""Seconds after which a caller, whose requests are delayed, sends no more of them."""

CANCELLED_WITHIN = 3.0
"""Seconds in which a service learns that its caller was cut."""

TRIES = 8
"""How often a request is sent that a mesh answers by chance before it arrives."""

UNAVAILABLE = m.Answer(grpc_status=14, grpc_message="unavailable", trailers_only=True)
RESET, SILENCE = m.Answer(behaviour=m.Behaviour.RESET), m.Answer(behaviour=m.Behaviour.STALL)
HTTP_FAILURES = {"503": m.Answer(status=503), "reset": RESET, STALL: SILENCE}
GRPC_FAILURES = {"unavailable": UNAVAILABLE, "reset": RESET, STALL: SILENCE}


@dataclass(eq=False)
class PortObserver:
    """Observes one port, while others may be observed too.

    Attributes:
        trial: The stand-ins.
        destination: The port.
        patience: Seconds that callers wait for a service that stalls, at a scale of 1.
        places: For requests under way, without those that wait for a service that stalls.
        calls: The ports that each workload is known to call.
    """

    trial: StandIns
    destination: Destination
    patience: float = PATIENCE
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    calls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _id: str = field(default_factory=new_id)

    async def observe(self) -> PortEffects:
        """All that is observed of the port; of one that does not speak HTTP, who reaches it, and idle connections.

        Raises:
            Inconclusive: A probe is lost.
        """
        since, spoken = now(), self.destination.declared.spoken
        reached = await access(self.trial, self.destination)
        enrolled = self._sampled(reached)
        callers = enrolled if spoken.facts.is_http else []
        seen, limits = await asyncio.gather(
            asyncio.gather(*(self._of(number, caller) for number, caller in enumerate(callers))),
            asyncio.gather(*(idle_limit(self.trial, self.destination, one) for one in enrolled)),
        )
        calls = await self._joined([one for several in seen for one in several])
        return PortEffects(
            destination=str(self.destination),
            protocol=spoken,
            backends=self._behind,
            access=reached,
            calls=tuple(calls),
            identities=dict(self._identities(calls)),
            idle={one.name: limit for one, limit in zip(enrolled, limits, strict=True) if limit is not None},
            patience=self.patience * self.trial.scale,
            since=since,
        )

    @property
    def _behind(self) -> frozenset[str]:
        return frozenset(str(one) for one, _ in self.destination.backends)

    def _sampled(self, reached: Iterable[Access]) -> list[Caller]:
        """The callers that are measured, given who reaches the port."""
        enrolled = [one for one in self.trial.callers() if one.enrolled]
        known = [name for name, called in self.calls.items() if str(self.destination) in called]
        served = [one.caller for one in reached if one.outcome is not Outcome.REFUSED and not one.address_of]
        place = self.trial.plan.destinations.index(self.destination)
        names = sampled([one.name for one in enrolled], known, served, place)
        return [one for one in enrolled if one.name in names]

    @cached_property
    def _where(self) -> list[tuple[str, Workload]]:
        """The probes that may see a request, with the names of their stand-ins."""
        names = may_arrive(self.trial.plan, self.destination)
        return [(name, one) for name, one in self.trial.running if name in names]

    @property
    def _is_grpc(self) -> bool:
        return self.destination.declared.spoken.facts.grpc

    async def _of(self, number: int, caller: Caller) -> list[Call]:
        """One after another, as a limit of connections would refuse what comes side by side."""
        prefix = f"{self._id}-{number}"
        samples = await self._samples(caller, Shape(self._methods[0]), f"{prefix}-sample")
        is_let_in = any(not one.form for one in samples)
        for at, shape in enumerate(() if self._is_grpc else conditioned(self.trial.plan, self.destination)):
            samples += await self._samples(caller, shape, f"{prefix}-sample-{at}")
        if not is_let_in:
            return samples
        failures = GRPC_FAILURES if self._is_grpc else HTTP_FAILURES
        kinds = [(Shape(method), failure) for failure in failures for method in self._methods]
        return samples + [await self._failed(caller, *kind, failures[kind[1]], prefix) for kind in kinds]

    @property
    def _methods(self) -> tuple[str, ...]:
        return (GRPC,) if self._is_grpc else ("GET", "POST")

    async def _samples(self, caller: Caller, shape: Shape, prefix: str) -> list[Call]:
        found, since = list[Call](), now()
        while len(found) < SAMPLES and (not found or now() - since < SAMPLED_WITHIN * self.trial.scale):
            async with self.places:
                exchange = await self._send(caller, shape, f"{prefix}-{len(found)}", UNSCALED)
            found.append(self._call(caller, shape, "", exchange))
        return found

    async def _failed(self, caller: Caller, shape: Shape, failure: str, answer: m.Answer, prefix: str) -> Call:
        """A request that every service fails, sent again where the mesh has answered it."""
        for number in range(TRIES):
            request_id = f"{prefix}-{shape.method}-{failure}-{number}"
            script = m.SetScript(request_id, (answer,), repeat=True)
            await asyncio.gather(*(one.ask(script, m.Done) for _, one in self._where))
            if failure == STALL:
                call = await self._stalled(caller, shape, request_id)
            else:
                async with self.places:
                    exchange = await self._send(caller, shape, request_id, UNSCALED)
                call = self._call(caller, shape, failure, exchange)
            if await self._arrived(request_id):
                break
        return call

    async def _stalled(self, caller: Caller, shape: Shape, request_id: str) -> Call:
        """A request that is never answered, with what the services still do once its caller was cut."""
        exchange = await self._send(caller, shape, request_id, self.patience)
        arrived, unended = await self._arrived(request_id), 0
        if exchange.ending is not Ending.TIMED_OUT:
            patience = CANCELLED_WITHIN * self.trial.scale
            for _, workload, number in [one for one in arrived if one[0] in self._behind] or arrived:
                attempts = await workload.wait_for_attempts(request_id, number, ended=True, patience=patience)
                unended += sum(one.ending is m.AttemptEnding.OPEN for one in attempts)
        in_time = sum(number for _, _, number in arrived)
        return replace(self._call(caller, shape, STALL, exchange), in_time=in_time, unended=unended)

    async def _send(self, caller: Caller, shape: Shape, request_id: str, patience: float) -> Exchange:
        of_http = {
            "method": shape.method,
            "path": shape.path,
            "headers": shape.headers,
            "body": Sent(shape.method).body,
        }
        how = {} if self._is_grpc else of_http
        patience = caller.workload.patience * patience / UNSCALED
        way = way_by_name(self.trial, self.destination, caller)
        backend = self.trial.backends(self.destination)[0]
        request = request_on(self.destination, backend, way, request_id=request_id, patience=patience, **how)
        return (await caller.workload.ask(m.Send(request), m.Exchanged)).exchange

    def _call(self, caller: Caller, shape: Shape, failure: str, exchange: Exchange) -> Call:
        form = form_of(exchange, self.destination.declared.spoken)
        said = GRPC if self._is_grpc else str(shape)
        return Call(caller.name, shape.method, failure, exchange, form, (), said)

    async def _arrived(self, request_id: str) -> list[tuple[str, Workload, int]]:
        """The stand-ins that a request has reached, by name, and how often."""
        ledgers = await asyncio.gather(*(one.attempts_under(request_id) for _, one in self._where))
        return [(*one, len(seen)) for one, seen in zip(self._where, ledgers, strict=True) if seen]

    async def _joined(self, calls: Sequence[Call]) -> list[Call]:
        """The requests with what has arrived of them by now, the copies and late attempts among it."""
        found: dict[str, list[Arrival]] = {}
        for name, attempt in await self.trial.attempts_under(f"{self._id}-"):
            found.setdefault(attempt.request_id, []).append(Arrival(name, attempt))
        return [replace(one, arrivals=tuple(found.get(one.exchange.request_id, ()))) for one in calls]

    def _identities(self, calls: Iterable[Call]) -> Iterator[tuple[str, str]]:
        """Of each caller that was served, its identity as the first attempt behind the port was told it."""
        for call in calls:
            for one in call.arrivals:
                if not call.form and one.stand_in in self._behind:
                    yield call.caller, self.trial.adapter.peer_identity(one.attempt) or ""


def begun(trial: StandIns, calls: Mapping[str, frozenset[str]]) -> dict[str, asyncio.Task[PortEffects]]:
    """The observations of all ports, side by side, by the names of the ports; ``calls`` as of ``PortObserver``."""
    places = asyncio.Semaphore(AT_ONCE)
    return {
        str(one): asyncio.ensure_future(PortObserver(trial, one, PATIENCE, places, calls).observe())
        for one in trial.plan.destinations
    }
