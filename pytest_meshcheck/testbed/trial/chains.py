"""Requests through chains of services, each of which calls the next before it answers."""

import asyncio

import msgspec

from pytest_meshcheck.checks.own.chain_hazards import ChainCall, Hop
from pytest_meshcheck.checks.port_effects import GRPC
from pytest_meshcheck.manifests.call_graph import Chain
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.workload import new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.effects import GRPC_FAILURES, HTTP_FAILURES
from pytest_meshcheck.testbed.trial.executions import Sent
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.ways import request_on, way_by_name

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
        _, failing = _failure(port)
        for name, _, workload in trial.backends(port):
            onward = _request(trial, Caller(name, workload, True), following, method, request_id) if following else None
            answer = msgspec.structs.replace(failing, onward=onward)
            await workload.ask(m.SetScript(request_id, (answer,), repeat=True), m.Done)
    caller = next(one for one in trial.callers() if one.name == chain.first)
    request = _request(trial, caller, chain.ports[0], method, request_id)
    await caller.workload.ask(m.Send(request), m.Exchanged)
    hops = [Hop(str(port), await _attempts(trial, port, request_id)) for port in chain.ports]
    failure, _ = _failure(chain.ports[-1])
    return ChainCall(caller.name, method, failure, tuple(hops), request_id)


def _failure(port: Destination) -> tuple[str, m.Answer]:
    """How a service fails, with its name: at once, so that all retries fit into any time limit."""
    name, failures = ("unavailable", GRPC_FAILURES) if port.declared.spoken.facts.grpc else ("503", HTTP_FAILURES)
    return name, failures[name]


def _request(trial: StandIns, caller: Caller, port: Destination, method: str, request_id: str) -> m.Request:
    way, backend = way_by_name(trial, port, caller), trial.backends(port)[0]
    of_http = {"method": method, "body": Sent(method).body} if port.has_methods else {}
    patience = caller.workload.patience
    return request_on(port, backend, way, request_id=request_id, patience=patience, **of_http)


async def _attempts(trial: StandIns, port: Destination, request_id: str) -> int:
    probes = [workload for _, _, workload in trial.backends(port)]
    return sum(map(len, await asyncio.gather(*(one.attempts(request_id) for one in probes))))
