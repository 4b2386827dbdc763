"""How often a service executes one request that fails after it was carried out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.observation import Attempt, Exchange
from pytest_meshcheck.model.workload import PATIENCE as UNSCALED, new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.access import form_of
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.ways import request_on, way_by_name

PATIENCE = 10.0
"""Seconds that a caller waits for a service that stalls; a limit for one attempt has to be shorter to be seen."""

BARE = ("GET", "HEAD")
"""Methods of requests without a body."""


@dataclass(frozen=True)
class Execution:
    """One request, and what the service saw of it.

    Attributes:
        caller: Who sent it.
        exchange: What the caller saw.
        attempts: What reached the stand-ins behind the port.
    """

    caller: str
    exchange: Exchange
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True)
class Sent:
    """What is sent.

    Attributes:
        method: The method.
        path: The path.
        patience: Seconds that the caller waits, at a scale of 1.
    """

    method: str
    path: str = "/"
    patience: float = PATIENCE

    @property
    def body(self) -> m.Body:
        """What is sent along: nothing where it would be no common request."""
        return m.Body() if self.method in BARE else m.Body(text="pay once\n")


async def executions(trial: StandIns, destination: Destination, sent: Sent, answer: m.Answer) -> Sequence[Execution]:
    """A request of each caller that is let in, which every stand-in behind the port answers like this each time.

    Raises:
        Unsupported: The port is not declared as HTTP.
        Inconclusive: No caller of the mesh is let in.
    """
    if not destination.has_methods:
        raise Unsupported(f"{destination} speaks {destination.declared.spoken}, which has no {sent.method}")
    callers = [one for one in trial.callers() if one.enrolled]
    served = await asyncio.gather(*(_sent(trial, destination, one, sent, m.Answer()) for one in callers))
    spoken = destination.declared.spoken
    let_in = [one for one, first in zip(callers, served, strict=True) if not form_of(first.exchange, spoken)]
    if not let_in:
        raise Inconclusive(f"no workload of the mesh is served by {destination}, so nothing can be repeated")
    return await asyncio.gather(*(_sent(trial, destination, one, sent, answer) for one in let_in))


async def calls_of(trial: StandIns, caller: str) -> Sequence[Attempt]:
    """One attempt of a stand-in at each port of HTTP and gRPC that lets it in.

    Ports of stand-ins outside of the mesh do not count: nobody tells these who calls.

    Raises:
        Inconclusive: There is no such port.
    """
    callers = {each.name: each for each in trial.callers()}
    enrolled = {name for name, each in callers.items() if each.enrolled}
    ports = [
        each
        for each in trial.plan.destinations
        if each.declared.spoken.facts.is_http and enrolled.issuperset(str(backend) for backend, _ in each.backends)
    ]
    sent = [await _sent(trial, port, callers[caller], Sent("GET"), m.Answer()) for port in ports]
    attempts = [each.attempts[0] for each in sent if each.attempts]
    if not attempts:
        raise Inconclusive(f"no port of HTTP in the mesh lets {caller} in, so none sees its identity")
    return attempts


async def _sent(trial: StandIns, destination: Destination, caller: Caller, sent: Sent, answer: m.Answer) -> Execution:
    backends, request_id = trial.backends(destination), new_id()
    for _, _, workload in backends:
        await workload.answers(answer, repeat=True, request_id=request_id)
    patience = caller.workload.patience * sent.patience / UNSCALED
    how = {"method": sent.method, "path": sent.path, "body": sent.body, "patience": patience}
    way = way_by_name(trial, destination, caller)
    request = request_on(destination, backends[0], way, request_id=request_id, **how)
    exchange = await caller.workload.exchange(m.Send(request), backends[0][2])
    attempts = [one for _, _, workload in backends for one in await workload.attempts(request_id)]
    return Execution(caller.name, exchange, tuple(attempts))
