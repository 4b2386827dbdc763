"""Workloads in a cluster: each is a deployment, or a job, with its own service and service account."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import PATIENCE, Workload, first_request
from pytest_meshcheck.model.workload_spec import Address, Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.crash import Crashes, has_crashed
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor
from pytest_meshcheck.platforms.kubernetes.connection import ONE_TRY, Connection
from pytest_meshcheck.platforms.kubernetes.evidence.logs import log_of_ended
from pytest_meshcheck.platforms.kubernetes.shared_data_planes import SharedDataPlanes
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import CONTAINER, Ownership
from pytest_meshcheck.platforms.kubernetes.workloads.pods import ContainerEnd, ended_container
from pytest_meshcheck.platforms.kubernetes.workloads.ports import listen, port_number
from pytest_meshcheck.platforms.kubernetes.workloads.running import Running
from pytest_meshcheck.platforms.kubernetes.workloads.signals import end
from pytest_meshcheck.platforms.last_words import last_words
from pytest_meshcheck.probe.controller import ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

ROUTED_WITHIN = 20.0
"""Seconds until every node routes to a service that has an endpoint."""

PAUSE = 0.05

SHORT_GRACE = 2.0
"""Seconds of grace that are not worth a command to cut short."""


class Deployments:
    """The workloads of one process of a run in a cluster; it changes only its own namespaces.

    Attributes:
        journal: Where workloads record their observations.
        owner: The owner of its resources.
        running: The running workloads by ``namespace/name``.
    """

    def __init__(self, journal: Journal, cluster_ref: ClusterRef, part: str = "", timeout_scale: float = 1.0) -> None:
        self.journal = journal
        self.owner = Ownership(cluster_ref.run, part, cluster_ref.image)
        self.timeout_scale = timeout_scale
        self.running: dict[str, Running] = {}
        self._cluster_ref = cluster_ref
        self._connection: asyncio.Task[Connection] | None = None
        self._namespaces: dict[str, asyncio.Task[list[Object]]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._leaving: set[str] = set()
        self._crashes = Crashes()
        self._shared = SharedDataPlanes()

    def __str__(self) -> str:
        return self._cluster_ref.description

    def namespace(self, plain: str) -> str:
        """The name of a namespace in the cluster."""
        return self.owner.namespace(plain)

    @property
    def cluster_ref(self) -> ClusterRef:
        """The cluster."""
        return self._cluster_ref

    async def api(self) -> Api:
        """The API server of the cluster."""
        return (await self._connected()).api

    async def executor(self) -> Executor:
        """Runs commands in pods, and sends requests to their ports."""
        return (await self._connected()).executor

    async def pods(self) -> list[Object]:
        """The current pods of this process of the run."""
        return list((await self._connected()).pods.known.values())

    @property
    def namespaces(self) -> list[str]:
        """The namespaces that it has created for workloads."""
        return list(self._namespaces)

    async def start(self, spec: WorkloadSpec, metadata: Metadata) -> Workload:
        """Start a workload and wait until it serves at its own address and at that of its service.

        Raises:
            ValueError: A workload of that name is running.
            Inconclusive: It does not start; the message says why its pod is not ready.
        """
        if str(spec) in self.running:
            raise ValueError(f"{spec} runs already: stop it first, or give the new workload another name")
        if not self.owner.image:
            raise Inconclusive(
                f"{spec} cannot be started: the run has no probe image, as no test has a fixture among its arguments "
                "that starts workloads; name it there instead of asking for it by getfixturevalue"
            )
        await self._make_namespace(spec.namespace, metadata.namespace_labels)
        first = first_request(spec, self.resolve, self._patience)
        made = manifests.workload(self.owner, spec, metadata, first)
        applied = await self._apply(*made)
        service_address = next((one["spec"]["clusterIP"] for one in applied if one["kind"] == "Service"), "")
        workload = await self._enter(spec, service_address, spec.replica)
        try:
            await self._serve(workload, through_service=bool(service_address))
        except Exception:
            await self.running.pop(str(spec)).probe.close()  # the next start finds the pod, and tries again
            raise
        return workload

    async def create_namespace(self, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Create a namespace under this very name, for workloads of a user's manifests.

        Raises:
            Refused: There is one already, or it may not be created.
        """
        await (await self.api()).create(manifests.namespace(self.owner, name, labels, annotations))
        self._labels[name] = dict(labels)
        self._namespaces[name] = asyncio.create_task(self._apply())

    async def serve(self, workload: Workload, port: str, tls: m.ServerTls | None = None) -> None:
        """Open one declared port of an impersonated workload, with its own TLS if ``tls`` is given."""
        await self._open(workload, [listen(workload.spec, port, tls)])

    async def address_of(self, spec: WorkloadSpec, port: str) -> Address:
        """The address of the pod, which it has before its containers are ready.

        Raises:
            Inconclusive: It gets none.
        """
        cluster = await self._connected()
        return await cluster.address_of(spec.namespace, spec.name, spec.replica), port_number(spec, port)

    async def apply(self, manifests: Sequence[Manifest]) -> None:
        """Create or replace resources of the mesh."""
        await self._apply(*manifests)

    async def delete(self, manifests: Sequence[Manifest]) -> None:
        """Remove resources of the mesh; missing ones are no error."""
        await (await self._connected()).delete(manifests)

    def resolve(self, _client: WorkloadSpec, server: WorkloadSpec, port: str, via: Via) -> Address:
        """The address that a client dials: that of the service, or that of the pod."""
        running = self.running[str(server)]
        return (running.service_address if via is Via.SERVICE else running.address), port_number(server, port)

    async def relabel(self, workload: Workload, other: WorkloadSpec) -> None:
        """Give a workload the labels by which network policies select another one, and its namespace if they differ.

        Raises:
            Inconclusive: The API server rejects it.
        """
        cluster, (namespace, pod) = await self._connected(), self.running[str(workload)].key
        claimed = other.namespace if other.namespace != namespace else None
        change = manifests.known_as(other.name, claimed)
        await cluster.api.change(f"/api/v1/namespaces/{namespace}/pods/{pod}", change)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = asyncio.create_task(Connection.to(self._cluster_ref, self.owner, self.timeout_scale))
        return await asyncio.shield(self._connection)

    async def _apply(self, *wanted: Manifest) -> list[Object]:
        return await (await self._connected()).apply(wanted)

    async def _make_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        if name not in self._namespaces:
            manifest = manifests.namespace(self.owner, name, labels)
            self._labels[name] = dict(labels)
            self._namespaces[name] = asyncio.create_task(self._apply(manifest))
        if self._labels[name] != labels:
            raise Unsupported(f"the mesh enrols whole namespaces, but {name} has both enrolled workloads and others")
        await asyncio.shield(self._namespaces[name])

    async def _enter(self, spec: WorkloadSpec, service_address: str, generation: int) -> Workload:
        """Take an instance in once it can be spoken to."""
        cluster = await self._connected()
        pod = await cluster.ready_pod(spec.namespace, spec.name, generation, spec.starts_within)
        probe = await cluster.probe_of(pod)
        self.running[str(spec)] = Running(spec, pod, service_address, probe, generation)
        instance = pod["metadata"]["name"]
        return Workload(spec, probe, self.journal, self.resolve, instance, self._patience)

    @property
    def _patience(self) -> float:
        return PATIENCE * self.timeout_scale

    async def _serve(self, workload: Workload, *, through_service: bool) -> None:
        """Make sure that a workload serves its ports, unless a check impersonates it, and that it reaches itself."""
        if workload.spec.enrolment is Enrolment.IMPERSONATED:
            return
        await self._open(workload, [listen(workload.spec, port.name) for port in workload.spec.ports])
        if through_service:
            await self._routed(workload, Via.SERVICE)

    async def _open(self, workload: Workload, ports: Sequence[m.Listen]) -> None:
        await workload.ask(m.Serve(instance=workload.instance, ports=tuple(ports)), m.Done)

    async def _routed(self, workload: Workload, via: Via) -> None:
        """Wait until a workload reaches itself; through its service: then the nodes route to it."""
        request = workload.request(workload, workload.spec.ports[0].name, via, patience=ONE_TRY)
        until = asyncio.get_running_loop().time() + ROUTED_WITHIN * self.timeout_scale
        while (seen := (await workload.ask(m.Send(request), m.Exchanged)).exchange).ending is not m.Ending.ANSWERED:
            if asyncio.get_running_loop().time() > until:
                how = f"{seen.ending} {seen.detail}".strip()
                raise Inconclusive(f"{workload} does not reach itself through its {via}: {how}")
            await asyncio.sleep(PAUSE)

    async def _remove(self, spec: WorkloadSpec) -> None:
        """Remove a workload, also one that did not start; the service goes with the last replica."""
        running, generation = self.running.pop(str(spec), None), spec.replica
        if running is not None:
            self._crashes.keep(filter(None, [await self._crash_of(running)]))
            await running.probe.close()
            generation = running.generation
            if str(spec) in self._leaving or running.spec.grace > SHORT_GRACE:
                await self._cut_grace_short(running)
        self._leaving.discard(str(spec))
        made = [manifests.workload_resource(self.owner, spec, Metadata(), generation)]
        if spec.template is None and not any(other.spec.service == spec.service for other in self.running.values()):
            made += [manifests.service_account(self.owner, spec), manifests.service(self.owner, spec)]
        cluster = await self._connected()
        await cluster.delete(made)
        await cluster.gone(spec.namespace, spec.name, generation)

    async def _cut_grace_short(self, running: Running) -> None:
        """Ask the probe to end: one that terminates ends at once, another one as soon as the kubelet asks as well."""
        with suppress(OSError, ProbeLost):
            await end((await self._connected()).executor, *running.key)

    async def _end_of(self, running: Running) -> tuple[ContainerEnd, str] | None:
        """The end of a container of a pod that ran, with its log; None if none has ended."""
        cluster = await self._connected()
        now = cluster.pods.known.get(running.key)
        if now is None or (ended := ended_container(running.pod, now)) is None:
            return None
        return ended, await log_of_ended(cluster.api, now, ended.name)

    async def _crash_of(self, running: Running) -> str:
        """How the data plane beside a probe crashed; empty if it did not."""
        if (ended := await self._end_of(running)) is None:
            return ""
        end, log = ended
        if end.name == CONTAINER or not has_crashed(end.exit_code, log):
            return ""
        return f"the container {end.name} of {running.spec} crashed (exit code {end.exit_code}); {last_words(log)}"
