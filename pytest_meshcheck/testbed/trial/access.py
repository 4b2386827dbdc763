"""The access matrix: who reaches a port, by the name of its service and by the addresses of the pods behind it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.observation import Ending, Exchange
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.ways import AT_ONCE, Way, request_on, way_by_name, ways_to

SETTLED_WITHIN = 30.0
"""Seconds until two rounds in a row have to agree."""

QUIET = 5.0
"""Seconds without anything new, after which a configuration is taken to act."""

PAUSE = 0.2
"""Seconds between two rounds."""

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Seen:
    """The outcome of one request.

    Attributes:
        form: How it was refused; empty if it was served.
        arrived: Whether it reached the application.
    """

    form: str
    arrived: bool

    @property
    def served(self) -> bool:
        """Whether the caller had the answer that the application gave."""
        return not self.form


async def settle(trial: StandIns) -> None:
    """Wait until no caller has met anything new for a while: a mesh does not say when a configuration takes effect.

    Every caller calls every port by name, over and over, for at most ``SETTLED_WITHIN``. What comes and goes, such as a
    fault for half of the requests, is new once.

    Raises:
        Inconclusive: A probe is lost.
    """
    until = time.monotonic() + SETTLED_WITHIN * trial.scale
    met, since = await _by_name(trial), time.monotonic()
    while (now := time.monotonic()) < until and now - since < QUIET * trial.scale:
        await asyncio.sleep(PAUSE)
        if new := await _by_name(trial) - met:
            met, since = met | new, time.monotonic()


async def access(trial: StandIns, destination: Destination) -> tuple[Access, ...]:
    """Who reaches a port: each caller by name and by address, until two rounds in a row agree.

    The last two count, except for a caller that was served, refused and served again, or the other way round: it meets
    chance, such as a fault for half of the requests.

    Raises:
        Inconclusive: A probe is lost.
    """
    ways = list(ways_to(trial, destination))
    until = time.monotonic() + SETTLED_WITHIN * trial.scale
    seen: list[list[Seen]] = [[] for _ in ways]
    while any(map(_is_open, seen)) and (len(seen[0]) < 2 or time.monotonic() < until):
        for one, now in zip(seen, await _round(trial, destination, ways), strict=True):
            one.append(now)
    return tuple(_entry(destination, way, one) for way, one in zip(ways, seen, strict=True))


async def answers_itself(trial: StandIns, destination: Destination) -> list[tuple[str, Exchange]]:
    """What each stand-in behind a port answers to itself, within its pod, where no mesh is in between."""
    found = []
    for backend in trial.backends(destination):
        name, number, workload = backend
        way = Way(Caller(name, workload, enrolled=False), (LOOPBACK, number), f"{LOOPBACK}:{number}")
        found.append((name, await workload.exchange(m.Send(request_on(destination, backend, way)), workload)))
    return found


def form_of(exchange: Exchange, protocol: m.Protocol) -> str:
    """How an exchange was refused, in words; empty if it was served."""
    if exchange.ending is not Ending.ANSWERED:
        return str(exchange.ending)
    facts = protocol.facts
    is_grpc = facts.grpc and exchange.grpc_status is not None  # a proxy may answer a call with an error of HTTP
    status = exchange.grpc_status if is_grpc else exchange.status
    if not facts.has_status or (status == facts.success and is_grpc is facts.grpc):
        return ""
    return f"grpc-status {status}" if is_grpc else f"status {status}"


async def _by_name(trial: StandIns) -> set[tuple[str, str, Seen]]:
    """The outcome of one request from each caller to each port: the caller's name, the port, and the outcome."""
    callers = trial.callers()
    names = [caller.name for caller in callers]
    met = set[tuple[str, str, Seen]]()
    for destination in trial.plan.destinations:
        ways = [way_by_name(trial, destination, caller) for caller in callers]
        seen = await _round(trial, destination, ways)
        met.update((name, str(destination), one) for name, one in zip(names, seen, strict=True))
    return met


async def _round(trial: StandIns, destination: Destination, ways: Sequence[Way]) -> list[Seen]:
    """One request on each way."""
    places = asyncio.Semaphore(AT_ONCE)

    async def seen(way: Way) -> Seen:
        async with places:
            return await _seen(trial, destination, way)

    return list(await asyncio.gather(*map(seen, ways)))


async def _seen(trial: StandIns, destination: Destination, way: Way) -> Seen:
    backends = trial.backends(destination)
    _, _, first = backends[0]
    exchange = await way.caller.workload.exchange(m.Send(request_on(destination, backends[0], way)), first)
    attempts = [one for _, _, workload in backends for one in await workload.attempts(exchange)]
    return Seen(form_of(exchange, destination.declared.spoken), bool(attempts))


def _is_open(seen: Sequence[Seen]) -> bool:
    """Whether another request might tell more."""
    return len(seen) < 2 or (seen[-1] != seen[-2] and not _by_chance(seen))


def _by_chance(seen: Sequence[Seen]) -> bool:
    return sum(one.served is not other.served for one, other in pairwise(seen)) > 1


def _entry(destination: Destination, way: Way, seen: Sequence[Seen]) -> Access:
    counting = seen if _by_chance(seen) else seen[-2:]
    served = {one.served for one in counting}
    outcome = Outcome.VARIES if len(served) > 1 else Outcome.SERVED if served == {True} else Outcome.REFUSED
    return Access(
        destination=str(destination),
        caller=way.caller.name,
        enrolled=way.caller.enrolled,
        address_of=way.address_of,
        outcome=outcome,
        form=" or ".join(dict.fromkeys(one.form for one in counting if one.form)),
        arrived=any(one.arrived for one in counting),
    )
