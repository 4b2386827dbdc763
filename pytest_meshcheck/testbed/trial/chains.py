"""Requests through chains of services, each of which calls the next before it answers."""

import asyncio
from collections.abc import Sequence

import msgspec

from pytest_meshcheck.checks.own.chain_hazards import ChainCall, Hop
from pytest_meshcheck.manifests.call_graph import Chain
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.workload import Workload, new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.effects import GRPC, UNAVAILABLE
from pytest_meshcheck.testbed.trial.executions import Sent
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.ways import request_on, way_by_name

FAILING = m.Answer(status=503)
METHODS = ("GET", "POST")


async def sent_through(trial: StandIns, chain: Chain) -> list[ChainCall]:
    """One request of each method through a chain whose last service fails each time.

    Raises:
        Inconclusive: A probe is lost.
    """
    methods = METHODS if any(one.has_methods for one in chain.ports) else (GRPC,)
    return [await _sent(trial, chain, method) for method in methods]


async def _sent(trial: StandIns, chain: Chain, method: str) -> ChainCall:
    request_id = new_id()
    for port, following in zip(chain.ports, (*chain.ports[1:], None), strict=True):
        failing = UNAVAILABLE if port.declared.spoken.facts.grpc else FAILING
        for name, _, workload in trial.backends(port):
            onward = _request(trial, Caller(name, workload, True), following, method, request_id) if following else None
            answer = msgspec.structs.replace(failing, onward=onward)
            await workload.ask(m.SetScript(request_id, (answer,), repeat=True), m.Done)
    caller = next(one for one in trial.callers() if one.name == chain.first)
    request = _request(trial, caller, chain.ports[0], method, request_id)
    await caller.workload.ask(m.Send(request), m.Exchanged)
    hops = [Hop(str(port), await _attempts(_probes(trial, port), request_id)) for port in chain.ports]
    failure = "unavailable" if chain.ports[-1].declared.spoken.facts.grpc else str(FAILING.status)
    return ChainCall(caller.name, method, failure, tuple(hops), request_id)


def _request(trial: StandIns, caller: Caller, port: Destination, method: str, request_id: str) -> m.Request:
    way, backend = way_by_name(trial, port, caller), trial.backends(port)[0]
    of_http = {"method": method, "body": Sent(method).body} if port.has_methods else {}
    patience = caller.workload.patience
    return request_on(port, backend, way, request_id=request_id, patience=patience, **of_http)


def _probes(trial: StandIns, port: Destination) -> list[Workload]:
    return [workload for _, _, workload in trial.backends(port)]


async def _attempts(probes: Sequence[Workload], request_id: str) -> int:
    return sum(map(len, await asyncio.gather(*(one.attempts(request_id) for one in probes))))
