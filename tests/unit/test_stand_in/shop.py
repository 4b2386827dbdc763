"""Stand-ins of manifests as local processes, without a mesh: the ports of services lead to those of the processes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, Enrolment, Port, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.stand_in.handle import RunningStandIn
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns

MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: orders, namespace: shop, labels: {app: orders}}
spec: {containers: []}
---
apiVersion: v1
kind: Pod
metadata: {name: payments, namespace: shop, labels: {app: payments}}
spec: {containers: []}
---
apiVersion: v1
kind: Service
metadata: {name: payments, namespace: shop}
spec: {selector: {app: payments}, ports: [{name: http, port: 8080}, {name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: payments-pods, namespace: shop}
spec: {clusterIP: None, selector: {app: payments}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: shop}
spec: {type: ExternalName, externalName: localhost}
"""


class Shop(StandIns):
    """The stand-ins, whose services have the addresses of their first pods."""

    def place_of(self, plain: str) -> str:
        return plain or "own"

    def pod_address(self, workload: Workload) -> str:
        return address_of(workload)[0]

    def stand_in(self, name: str) -> RunningStandIn:
        return RunningStandIn.named(self, name, asyncio.get_running_loop())


@dataclass
class Leading:
    """A probe that dials what a service's port leads to in a cluster."""

    probe: Any
    ports: Mapping[Address, Address]

    async def call(self, command: m.Command) -> m.Reply:
        if isinstance(command, m.Send):
            command = m.Send(self.led(command.request))
        if isinstance(command, m.StartLoad):
            template = self.led(command.plan.template)
            command = m.StartLoad(msgspec.structs.replace(command.plan, template=template))
        reply: m.Reply = await self.probe.call(command)
        return reply

    def led(self, request: m.Request) -> m.Request:
        return msgspec.structs.replace(request, address=self.ports.get(request.address, request.address))


@asynccontextmanager
async def shop_in(folder: Path, *texts: str, journal: Journal | None = None) -> AsyncIterator[Shop]:
    """The stand-ins of manifests while the block runs, with a folder for their processes."""
    made = plan(
        objects_in([Text(f"{number}.yaml", text) for number, text in enumerate(texts or [MANIFESTS])]),
        Configured("istio", ("security.istio.io", "networking.istio.io")),
    )
    platform = Processes(journal or Journal(), folder)
    try:
        yield await started(platform, made)
    finally:
        await platform.close()


async def started(platform: Processes, made: Plan) -> Shop:
    shop = Shop(cast("Mesh", None), cast("Kubernetes", platform), made, "")
    specs = {str(one): spec(shop.place_of(one.namespace), one.name, *ports_of(one)) for one in made.stand_ins}
    specs |= {name: spec("grey", name) for name in ("outsider", "stranger")}
    running = await asyncio.gather(*(platform.start(one, Metadata()) for one in specs.values()))
    by_name = dict(zip(specs, running, strict=True))
    shop.outsiders = [Caller(name, by_name.pop(name), enrolled=False) for name in ("outsider", "stranger")]
    shop.replicas = {name: [workload] for name, workload in by_name.items()}
    ports = dict(led(shop))
    for workload in running:
        workload.probe = cast("Any", Leading(workload.probe, ports))
    return shop


def led(shop: Shop) -> list[tuple[Address, Address]]:
    """What each address of a service leads to; gives services their addresses."""
    found = []
    for one in shop.plan.services:
        shop.addresses[one.namespace, one.name] = ""
    for destination in shop.plan.destinations:
        _, number, workload = shop.backends(destination)[0]
        port = next(port.name for port in workload.spec.ports if port.number == number)
        found.append(((shop.pod_address(workload), destination.port), address_of(workload, port)))
        if not destination.service.endswith("-pods"):
            shop.addresses[destination.namespace, destination.service] = shop.pod_address(workload)
    return found


def address_of(workload: Workload, port: str = "") -> Address:
    return workload.resolve(workload.spec, workload.spec, port or workload.spec.ports[0].name, Via.SERVICE)


def spec(namespace: str, name: str, *ports: Port) -> WorkloadSpec:
    return WorkloadSpec(
        namespace, name, Enrolment.UNENROLLED, ports=ports or (Port("http", m.Protocol.HTTP1, number=80),)
    )


def ports_of(one: Any) -> list[Port]:
    return [Port(port.name or f"port-{port.number}", port.declared.spoken, number=port.number) for port in one.ports]
