"""Requests through chains of services, with real probes and without a mesh."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from pytest_meshcheck.checks.own.chain_hazards import Hop
from pytest_meshcheck.manifests.call_graph import Chain
from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Port, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.chains import sent_through
from pytest_meshcheck.testbed.trial.stand_ins import Caller
from pytest_meshcheck.testbed.trial.trial import Trial

pytestmark = pytest.mark.asyncio

PORT = Port("rpc", m.Protocol.GRPC)
"""It is spoken to in any HTTP."""

NAMES = {"web": "http", "orders": "http", "stock": "grpc"}
"""Workloads, and the protocols that their services declare."""

MANIFEST = """---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}
spec: {{containers: []}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{name: {port}, port: {number}}}]}}
"""


class LocalTrial(Trial):
    """The stand-ins of a plan as local processes, where every service has the address of its only pod."""

    def __init__(self, made: Plan, workloads: dict[str, Workload]) -> None:
        self.plan, self.scale = made, 1.0
        self.replicas = {f"shop/{name}": [one] for name, one in workloads.items()}
        self.addresses = {("shop", name): "" for name in workloads}

    def place_of(self, plain: str) -> str:
        return plain

    def callers(self) -> list[Caller]:
        return [Caller(name, one, enrolled=True) for name, (one,) in self.replicas.items()]

    def pod_address(self, workload: Workload) -> str:
        return workload.resolve(workload.spec, workload.spec, PORT.name, Via.SERVICE)[0]


async def _started(platform: Processes, name: str) -> Workload:
    one = await platform.start(WorkloadSpec("shop", name, Enrolment.UNENROLLED, ports=(PORT,)), Metadata())
    number = one.resolve(one.spec, one.spec, PORT.name, Via.SERVICE)[1]
    one.spec = replace(one.spec, ports=(replace(PORT, number=number),))
    return one


@pytest_asyncio.fixture
async def trial(tmp_path: Path) -> AsyncIterator[LocalTrial]:
    platform = Processes(Journal(), tmp_path)
    workloads = dict(zip(NAMES, await asyncio.gather(*(_started(platform, name) for name in NAMES)), strict=True))
    written = [
        MANIFEST.format(name=name, port=port, number=workloads[name].spec.ports[0].number)
        for name, port in NAMES.items()
    ]
    yield LocalTrial(plan(objects_in([Text("a.yaml", "".join(written))]), Configured("none", ())), workloads)
    await platform.close()


async def test_each_service_calls_the_next_and_passes_its_failure_back(trial: LocalTrial) -> None:
    ports = {one.service: one for one in trial.plan.destinations}
    sent = await sent_through(trial, Chain("shop/web", (ports["orders"], ports["stock"])))
    hops = (Hop(str(ports["orders"]), 1), Hop(str(ports["stock"]), 1))
    assert [(one.method, one.failure, one.hops) for one in sent] == [
        ("GET", "unavailable", hops),
        ("POST", "unavailable", hops),
    ]
    assert not any(one.multiplies for one in sent)
    (orders,) = await trial.replicas["shop/orders"][0].attempts(sent[0].request_id)
    (stock,) = await trial.replicas["shop/stock"][0].attempts(sent[0].request_id)
    assert orders.arrived < stock.arrived < (stock.answered or 0) < (orders.answered or 0)
