"""What is observed of a configuration, in cells that can be compared: who is served, by whom, how often, how long."""

import asyncio
import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_meshcheck.checks.port_effects import STALL, Shape
from pytest_meshcheck.manifests.mutation.stimuli import Stimuli
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.observation import Attempt, Ending, Exchange
from pytest_meshcheck.model.workload import PATIENCE as UNSCALED, new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.access import form_of
from pytest_meshcheck.testbed.trial.executions import Sent
from pytest_meshcheck.testbed.trial.stand_ins import StandIns
from pytest_meshcheck.testbed.trial.ways import AT_ONCE, PATIENCE, Way, request_on, way_by_name, ways_to

MARGIN = 2.0
"""Seconds that a caller waits beyond the longest limit or delay."""

EARLY = 0.3
"""Seconds that a limit or delay may seem too short."""

CALLER = "x-meshcheck-caller"
"""Header that tells callers apart whose requests share an id, as they share a script."""


class Aspect(enum.StrEnum):
    """What is observed of a request."""

    OUTCOME = "outcome"
    WORKLOADS = "answered by"
    PATH = "path at the workload"
    HEADERS = "headers at the workload"
    ANSWER_HEADERS = "headers of the answer"
    ATTEMPTS = "attempts"
    LIMIT = "waits"
    DELAY = "delay"


@dataclass(frozen=True)
class Stimulus:
    """A request of each caller to a port.

    Attributes:
        destination: The port.
        shape: The kind of request.
        failure: How the service fails: a status, ``reset`` or ``stall``; empty if it does not.
        by_address: Whether the pods are called by their addresses, too.
    """

    destination: Destination
    shape: Shape
    failure: str = ""
    by_address: bool = False

    def __str__(self) -> str:
        failing = f", which fails with {self.failure}" if self.failure else ""
        return f"{self.shape}{failing}"


@dataclass(frozen=True)
class Cell:
    """One aspect of one request.

    Attributes:
        caller: Who sends it.
        address_of: Whose pod is called; empty for the name of the service.
        stimulus: What is sent.
        aspect: What is observed.
    """

    caller: str
    address_of: str
    stimulus: Stimulus
    aspect: Aspect

    def __str__(self) -> str:
        by = f" by the address of {self.address_of}" if self.address_of else ""
        return f"{self.aspect} of {self.stimulus} from {self.caller} to {self.stimulus.destination}{by}"


Round = Mapping[Cell, frozenset[str]]


@dataclass(frozen=True)
class _Request:
    way: Way
    stimulus: Stimulus
    request: m.Request


async def observed(trial: StandIns, stimuli: Sequence[Stimulus], known: Stimuli) -> Round:
    """Send each stimulus once from each caller, and read what became of it.

    Requests to ports that do not speak HTTP, or speak gRPC, have neither path, method nor headers.

    Args:
        trial: The stand-ins.
        stimuli: What is sent.
        known: The limits and delays that answers are compared with.

    Raises:
        Inconclusive: A probe is lost.
    """
    prefix = new_id()
    sent = [one for number, each in enumerate(stimuli) for one in _requests(trial, each, f"{prefix}-{number}", known)]
    await _script(trial, sent)
    places = asyncio.Semaphore(AT_ONCE)
    exchanges = await asyncio.gather(*(_exchange(one, places) for one in sent))
    attempts = await _attempts(trial, f"{prefix}-")
    return {
        cell: values
        for one, exchange in zip(sent, exchanges, strict=True)
        for cell, values in _cells(one, exchange, _of(one, attempts), known)
    }


def _requests(trial: StandIns, stimulus: Stimulus, prefix: str, known: Stimuli) -> Iterator[_Request]:
    destination = stimulus.destination
    ways = ways_to(trial, destination) if stimulus.by_address else _by_name(trial, destination)
    longest = max([0.0, *known.limits] if stimulus.failure == STALL else [0.0, *known.delays])
    for number, way in enumerate(way for way in ways if way.caller.enrolled or not stimulus.failure):
        workload = way.caller.workload
        patience = max(PATIENCE, longest + MARGIN if longest else 0.0) * workload.patience / UNSCALED
        yield _Request(
            way,
            stimulus,
            request_on(
                destination,
                trial.backends(destination)[0],
                way,
                patience=patience,
                request_id=prefix if stimulus.failure else f"{prefix}-{number}",
                **(_fields(stimulus.shape, way) if destination.has_methods else {}),
            ),
        )


def _fields(shape: Shape, way: Way) -> dict[str, object]:
    headers = (*shape.headers, (CALLER, way.caller.name))
    return {"method": shape.method, "path": shape.path, "headers": headers, "body": Sent(shape.method).body}


def _by_name(trial: StandIns, destination: Destination) -> list[Way]:
    return [way_by_name(trial, destination, caller) for caller in trial.callers()]


async def _script(trial: StandIns, sent: Iterable[_Request]) -> None:
    """Have every stand-in fail as it is to: routes may lead to any of them."""
    failing = {one.request.request_id: one.stimulus.failure for one in sent if one.stimulus.failure}
    scripts = [m.SetScript(name, (_answer(failure),), repeat=True) for name, failure in failing.items()]
    await asyncio.gather(*(one.ask(script, m.Done) for _, one in trial.running for script in scripts))


def _answer(failure: str) -> m.Answer:
    named = {"reset": m.Behaviour.RESET, STALL: m.Behaviour.STALL}
    return m.Answer(behaviour=named[failure]) if failure in named else m.Answer(status=int(failure))


async def _exchange(one: _Request, places: asyncio.Semaphore) -> Exchange:
    """Make one exchange; those that wait for a limit do not keep others from theirs."""
    if one.stimulus.failure == STALL:
        return (await one.way.caller.workload.ask(m.Send(one.request), m.Exchanged)).exchange
    async with places:
        return (await one.way.caller.workload.ask(m.Send(one.request), m.Exchanged)).exchange


async def _attempts(trial: StandIns, prefix: str) -> Mapping[tuple[str, str], list[tuple[str, Attempt]]]:
    """What arrived anywhere, with the name of the stand-in: by request id and caller, and by request id alone."""
    found: dict[tuple[str, str], list[tuple[str, Attempt]]] = defaultdict(list)
    for name, attempt in await trial.attempts_under(prefix):
        found[attempt.request_id, attempt.header(CALLER) or ""].append((name, attempt))
    return found


def _of(one: _Request, attempts: Mapping[tuple[str, str], list[tuple[str, Attempt]]]) -> list[tuple[str, Attempt]]:
    caller = one.way.caller.name if one.stimulus.destination.has_methods else ""
    return attempts.get((one.request.request_id, caller), [])


def _cells(
    one: _Request, exchange: Exchange, attempts: Sequence[tuple[str, Attempt]], known: Stimuli
) -> Iterator[tuple[Cell, frozenset[str]]]:
    spoken = one.stimulus.destination.declared.spoken
    form = form_of(exchange, spoken)

    def cell(aspect: Aspect) -> Cell:
        return Cell(one.way.caller.name, one.way.address_of, one.stimulus, aspect)

    if one.stimulus.failure != STALL:
        yield cell(Aspect.OUTCOME), frozenset([form or "served"])
    if one.stimulus.destination.has_methods:
        yield cell(Aspect.ATTEMPTS), frozenset([str(len(attempts))])
        if one.stimulus.failure == STALL and known.limits:
            yield cell(Aspect.LIMIT), frozenset([_waited(exchange, known.limits)])
        if not one.stimulus.failure:
            of_http = _of_http(exchange, attempts)
            if _may_reach_itself(one):
                of_http = {aspect: of_http[aspect] for aspect in of_http if aspect not in OF_HEADERS}
            yield from ((cell(aspect), values) for aspect, values in of_http.items())
            if known.delays:
                yield cell(Aspect.DELAY), frozenset([passed(exchange.seconds, known.delays)])
    if not one.stimulus.failure:
        yield cell(Aspect.WORKLOADS), frozenset(name for name, _ in attempts) or frozenset(["nobody"])


OF_HEADERS = (Aspect.HEADERS, Aspect.ANSWER_HEADERS)
"""They differ where no data plane is in between."""


def _may_reach_itself(one: _Request) -> bool:
    """Whether a workload calls its own service, of which other pods may answer for as long as a balancer likes them."""
    behind = {str(each): each.replicas for each, _ in one.stimulus.destination.backends}
    return not one.way.address_of and one.way.caller.name in behind and sum(behind.values()) > 1


def _of_http(exchange: Exchange, attempts: Sequence[tuple[str, Attempt]]) -> Mapping[Aspect, frozenset[str]]:
    """What rules change of a request and its answer; of headers the names alone, as values differ each time."""
    return {
        Aspect.PATH: frozenset(one.path for _, one in attempts),
        Aspect.HEADERS: frozenset(_names(one.headers) for _, one in attempts),
        Aspect.ANSWER_HEADERS: frozenset([_names(exchange.headers)]),
    }


def _names(headers: Iterable[tuple[str, str]]) -> str:
    return " ".join(sorted({name.lower() for name, _ in headers}))


def _waited(exchange: Exchange, limits: Sequence[float]) -> str:
    return "no end" if exchange.ending is Ending.TIMED_OUT else passed(exchange.seconds, limits)


def passed(seconds: float, steps: Sequence[float]) -> str:
    """The longest of these times in seconds that another one is not shorter than, but for ``EARLY``; in words."""
    reached = [one for one in steps if seconds >= one - EARLY]
    return f"{max(reached):g} s" if reached else f"less than {min(steps):g} s"
