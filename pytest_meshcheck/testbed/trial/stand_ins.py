"""The stand-ins and services of a user's manifests in a cluster, under the mesh resources of the same manifests."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pytest_meshcheck.manifests.external_hosts import host_of, is_entry, led_to
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.plan import Plan, accounts, cleaned
from pytest_meshcheck.manifests.services import HEADLESS, Destination
from pytest_meshcheck.manifests.stand_ins import StandIn
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Port, Template, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.testbed.trial.resources import (
    namespace,
    placed,
    refuse_invalid,
    refuse_taken,
    until_earlier_are_gone,
)

AT_ONCE = 4
"""The number of workloads that start in parallel."""

OWN = "own"
"""The plain name of the namespace for objects that name none."""

OUTSIDER = WorkloadSpec("outsiders", "outsider", Enrolment.UNENROLLED)
STRANGER = WorkloadSpec("strangers", "stranger")
"""A workload of the mesh that no manifest names."""


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        name: Its name in reports.
        workload: Its probe.
        enrolled: Whether a data plane of the mesh is on its way.
    """

    name: str
    workload: Workload
    enrolled: bool


@dataclass(eq=False)
class StandIns:
    """The stand-ins and services of a plan, under its mesh resources.

    Attributes:
        adapter: The mesh.
        platform: The cluster.
        plan: What is made.
        home: The namespace of the control plane.
        scale: The factor for all time limits.
        replicas: The running probes of each stand-in, by its name.
        outsiders: Callers that stand in for nobody.
        addresses: The cluster IP of each service, by namespace and name; empty for a headless one. Of an external host,
            which has no namespace, the address of its stand-in.
    """

    adapter: Mesh
    platform: Kubernetes
    plan: Plan
    home: str
    scale: float = 1.0
    replicas: dict[str, list[Workload]] = field(default_factory=dict)
    outsiders: list[Caller] = field(default_factory=list)
    addresses: dict[tuple[str, str], str] = field(default_factory=dict)
    _at_home: list[Manifest] = field(default_factory=list)
    """The resources in the namespace of the control plane that this trial may have made."""

    def place_of(self, plain: str) -> str:
        """The name in the cluster of a namespace of the plan."""
        return plain or self.platform.namespace(OWN)

    def in_cluster(self, one: KubernetesObject) -> dict[str, object]:
        """A manifest as it is applied: in its namespace in the cluster, with the labels of the run.

        An entry for an external host leads to its stand-in.
        """
        manifest = cleaned(one)
        if is_entry(one) and (address := self.addresses.get(("", host_of(one)))):
            manifest = led_to(manifest, address)
        return self._manifest(manifest, one.namespace)

    async def refuse(self) -> None:
        """Look whether all of it can be made.

        Raises:
            ManifestError: Something exists already, or is rejected by the server or a webhook.
        """
        api, named = await self.platform.api(), self.plan.named
        await until_earlier_are_gone(api, self.platform.owner.run, named, self.scale)
        await refuse_taken(api, named, [one for one in self.plan.resources if one.namespace == self.home])
        await refuse_invalid(api, self.plan.resources, self.home)

    async def begin(self) -> None:
        """Make the namespaces, start the stand-ins, and then apply what configures the mesh.

        Raises:
            ManifestError: Something cannot be made; it was found before anything was.
            Inconclusive: A stand-in does not start, or the mesh does not take the configuration.
        """
        await self.refuse()
        specs = [(one, self._spec(one), self._metadata(one)) for one in self.plan.stand_ins]
        specs += [(one, *self._outside(one)) for one in self.plan.external_hosts]
        await self.platform.refuse_beyond([(spec, metadata) for _, spec, metadata in specs], 1)
        for name, declared in self.plan.namespaces.items():
            meta = self._namespace(declared)
            await self.platform.create_namespace(self.place_of(name), meta.labels, meta.annotations)
        await self._apply_around()
        places = asyncio.Semaphore(AT_ONCE)
        starts = [self._started(places, *one) for one in specs]
        starts += [self._outsider(places, OUTSIDER), self._outsider(places, STRANGER)]
        for error in await asyncio.gather(*starts, return_exceptions=True):  # none goes on while all is removed
            if error is not None:
                raise error
        for one in self.plan.external_hosts:
            self.addresses["", one.name] = self.pod_address(self.replicas[str(one)][0])
        self._at_home = [self.in_cluster(one) for one in self.plan.resources if one.namespace == self.home]
        await self.platform.apply([self.in_cluster(one) for one in self.plan.resources])
        await self.adapter.settled()

    async def close(self) -> None:
        """Remove what is outside of the namespaces of this trial, and begin to remove those."""
        await self.platform.delete(self._at_home)
        made = set(self.platform.namespaces)
        names = [name for name in map(self.place_of, self.plan.namespaces) if name in made]
        await self.platform.delete([namespace(name) for name in names])

    def destination(self, name: str) -> Destination:
        """The port of this name, e.g. ``shop/orders:8080``; StopIteration if there is none."""
        return next(one for one in self.plan.destinations if str(one) == name)

    def callers(self) -> list[Caller]:
        """Each stand-in, and those outside of the manifests."""
        firsts = [(one, self.replicas[str(one)][0]) for one in sorted(self.plan.stand_ins, key=str)]
        own = [Caller(str(one), first, self._is_enrolled(one, first)) for one, first in firsts]
        return [*own, *sorted(self.outsiders, key=lambda one: one.name)]

    @property
    def running(self) -> list[tuple[str, Workload]]:
        """All probes that stand in for something, each with the name of the stand-in."""
        return [(name, one) for name, several in self.replicas.items() for one in several]

    async def attempts_under(self, prefix: str) -> list[tuple[str, Attempt]]:
        """What arrived anywhere of the requests whose ids begin like this, with the names of the stand-ins."""
        ledgers = await asyncio.gather(*(one.attempts_under(prefix) for _, one in self.running))
        return [(name, attempt) for (name, _), seen in zip(self.running, ledgers, strict=True) for attempt in seen]

    def backends(self, destination: Destination) -> list[tuple[str, int, Workload]]:
        """The probes behind a port: name of the stand-in, number of its port, probe."""
        return [
            (str(one), number, workload) for one, number in destination.backends for workload in self.replicas[str(one)]
        ]

    def pod_address(self, workload: Workload) -> str:
        """The address of a pod."""
        return self.platform.running[str(workload)].address

    async def _apply_around(self) -> None:
        """Apply service accounts and services."""
        bare = {"apiVersion": "v1", "kind": "ServiceAccount"}
        for (where, name), declared in accounts(self.plan).items():
            about = {key: value for key, value in cleaned(declared).items() if key == "metadata"} if declared else {}
            await self.platform.apply([self._manifest({**bare, "metadata": {"name": name}, **about}, where)])
        api = await self.platform.api()
        for one in self.plan.services:
            applied = await api.apply(self.in_cluster(one))
            address = applied["spec"].get("clusterIP", HEADLESS)
            self.addresses[one.namespace, one.name] = "" if address == HEADLESS else address

    async def _started(self, places: asyncio.Semaphore, one: StandIn, spec: WorkloadSpec, metadata: Metadata) -> None:
        async with places:
            self.replicas[str(one)] = [
                await self.platform.start(replace(spec, replica=number), metadata)
                for number in range(1, one.replicas + 1)
            ]

    async def _outsider(self, places: asyncio.Semaphore, plain: WorkloadSpec) -> None:
        async with places:
            spec = WorkloadSpec(self.platform.namespace(plain.namespace), plain.name, plain.enrolment)
            workload = await self.platform.start(spec, self.adapter.enrolment(spec))
            self.outsiders.append(Caller(plain.name, workload, spec.enrolment is Enrolment.ENROLLED))

    def _spec(self, one: StandIn) -> WorkloadSpec:
        return WorkloadSpec(
            self.place_of(one.namespace),
            one.name,
            ports=_ports(one),
            replicas=one.replicas,
            template=Template(one.service_account, one.labels, one.annotations),
        )

    def _outside(self, one: StandIn) -> tuple[WorkloadSpec, Metadata]:
        """The stand-in of an external host, beside the outsider; its name in the cluster has no dots."""
        namespace = self.platform.namespace(OUTSIDER.namespace)
        spec = WorkloadSpec(namespace, one.name.replace(".", "-"), Enrolment.UNENROLLED, ports=_ports(one))
        return spec, self.adapter.enrolment(spec)

    def _metadata(self, one: StandIn) -> Metadata:
        around = self._namespace(self.plan.namespaces[one.namespace])
        return Metadata(one.labels, one.annotations, around.labels)

    def _namespace(self, declared: KubernetesObject | None) -> Metadata:
        """The labels and annotations of a namespace; one that nothing declares is part of the mesh."""
        return Metadata(declared.labels, declared.annotations) if declared else self.adapter.namespace_enrolment()

    def _is_enrolled(self, one: StandIn, workload: Workload) -> bool:
        """Whether a stand-in has a data plane: in its pod, or by the labels of its namespace."""
        if self.adapter.data_plane_in_workload:
            return has_data_plane(self.platform.running[str(workload)].pod)
        around = self._namespace(self.plan.namespaces[one.namespace])
        return self.adapter.namespace_enrolment().labels.items() <= around.labels.items()

    def _manifest(self, manifest: Mapping[str, object], where: str) -> dict[str, object]:
        return placed(manifest, self.place_of(where), self.platform.owner.labels)


def _ports(one: StandIn) -> tuple[Port, ...]:
    return tuple(
        Port(port.name or f"port-{port.number}", port.declared.spoken, number=port.number) for port in one.ports
    )


def has_data_plane(pod: Object) -> bool:
    """Whether a mesh has added containers to the pod of a probe."""
    return len(pod["spec"]["containers"]) + len(pod["spec"].get("initContainers", ())) > 1
