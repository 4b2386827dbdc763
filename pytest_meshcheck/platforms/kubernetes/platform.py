"""The platform of a Kubernetes cluster: each workload is a deployment with its own service and service account."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import PATIENCE, Workload, first_request
from pytest_meshcheck.model.workload_spec import Address, Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Interval, Manifest, Metadata, ProxyHop, Stall, Wire
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor
from pytest_meshcheck.platforms.kubernetes.capture.watchers import Watchers
from pytest_meshcheck.platforms.kubernetes.capture.wire import End, watched
from pytest_meshcheck.platforms.kubernetes.connection import ONE_TRY, STARTS_WITHIN, Connection
from pytest_meshcheck.platforms.kubernetes.evidence.logs import log_of_ended, write_events, write_logs
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.killing import end, has_come_back, kill, status_of
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership, port_number
from pytest_meshcheck.platforms.kubernetes.workloads.pods import ended_container, fate, ready
from pytest_meshcheck.platforms.kubernetes.workloads.running import Running
from pytest_meshcheck.platforms.last_words import last_words
from pytest_meshcheck.platforms.recording import RecordedWire
from pytest_meshcheck.platforms.stalls import felt
from pytest_meshcheck.probe.controller import ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

ANSWERS_WITHIN = 5.0
"""Seconds that a probe has to show that it is alive."""

PING = m.ReadLedger("nobody")
"""A request that only proves that a probe answers."""

ROUTED_WITHIN = 20.0
"""Seconds until every node routes to a service that has an endpoint."""

PAUSE = 0.05


class Kubernetes:
    """One process of a run in a cluster; it changes only its own namespaces.

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
        self._watchers = Watchers(self.owner)
        self._replaced: dict[str, Running] = {}
        self._leaving: set[str] = set()
        self._longest = 0.0

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
        _, service, _ = await self._apply(*made)
        workload = await self._enter(spec, service["spec"]["clusterIP"], spec.replica)
        if spec.enrolment is not Enrolment.IMPERSONATED:
            await self._open(workload, [self._listen(spec, port.name) for port in spec.ports])
            await self._routed(workload, Via.SERVICE)
        return workload

    async def refuse_beyond(self, planned: Sequence[tuple[WorkloadSpec, Metadata]], processes: int) -> None:
        """Raise Inconclusive if the nodes have no room for these workloads in each of ``processes`` processes."""
        await (await self._connected()).refuse_beyond(self.owner, planned, processes)

    async def add_instance(self, workload: Workload, metadata: Metadata) -> Workload:
        """Start another instance of a workload, and let the service lead to both once it serves.

        Raises:
            Inconclusive: The new instance does not start; the message says why its pod is not ready.
        """
        spec, old = workload.spec, self.running[str(workload)]
        generation = old.generation + 1
        await self._apply(manifests.workload_resource(self.owner, spec, metadata, generation))
        new_instance = await self._enter(spec, old.service_address, generation)
        self._replaced[workload.instance] = old
        await self._open(new_instance, [self._listen(spec, port.name) for port in spec.ports])
        await self._routed(new_instance, Via.ADDRESS)
        await self._apply(manifests.service(self.owner, spec, generation=None))
        return new_instance

    async def drain(self, workload: Workload) -> None:
        """Remove an instance that another instance replaces from the service; it continues, for requests under way."""
        new_instance = self.running[str(workload)]
        await self._apply(manifests.service(self.owner, workload.spec, new_instance.generation))

    async def remove_old(self, workload: Workload) -> None:
        """Stop a drained instance, and wait until its pod is gone."""
        await self._end(self._replaced.pop(workload.instance))

    async def _end(self, old: Running) -> None:
        await old.probe.close()
        cluster = await self._connected()
        await cluster.delete([manifests.workload_resource(self.owner, old.spec, Metadata(), old.generation)])
        await cluster.gone(old.spec.namespace, old.spec.name, old.generation)

    async def kill(self, pod: Object, container: str) -> Object:
        """Kill a container of any pod, and return its status before; the kubelet restarts it.

        Raises:
            Inconclusive: It could not be killed.
        """
        cluster, status = await self._connected(), status_of(pod, container)
        watcher = await self._watchers.pod_on(pod["spec"]["nodeName"], cluster)
        await kill(cluster.executor, watcher, status)
        return status

    async def restart_container(self, workload: Workload, container: str) -> None:
        """Kill a container of a workload's pod, and wait until it is back and the pod is ready.

        Raises:
            Inconclusive: It could not be killed, or does not come back.
        """
        cluster, running = await self._connected(), self.running[str(workload)]
        before, within = await self.kill(running.pod, container), STARTS_WITHIN * self.timeout_scale

        def is_back(known: Mapping[tuple[str, str], Object]) -> bool:
            return running.key in known and ready(known[running.key]) and has_come_back(known[running.key], before)

        try:
            await cluster.pods.until(is_back, within)
        except TimeoutError as late:
            raise Inconclusive(f"{container} of {workload} was killed, and is not back after {within:.0f} s") from late
        self.running[str(workload)] = replace(running, pod=cluster.pods.known[running.key])

    async def serve(self, workload: Workload, port: str, tls: m.ServerTls | None = None) -> None:
        """Open one declared port of an impersonated workload, with its own TLS if ``tls`` is given."""
        await self._open(workload, [self._listen(workload.spec, port, tls)])

    async def address_of(self, spec: WorkloadSpec, port: str) -> Address:
        """The address of the pod, which it has before its containers are ready.

        Raises:
            Inconclusive: It gets none.
        """
        cluster = await self._connected()
        return await cluster.address_of(spec.namespace, spec.name, spec.replica), port_number(spec, port)

    @asynccontextmanager
    async def termination(self, workload: Workload) -> AsyncIterator[None]:
        """Delete the deployment of a workload: its pod ends with the grace of the workload, or after the block.

        Raises:
            Inconclusive: The pod does not begin to end, or has ended before the block.
        """
        running, cluster = self.running[str(workload)], await self._connected()
        self._leaving.add(str(workload))
        await cluster.delete([manifests.workload_resource(self.owner, workload.spec, Metadata(), running.generation)])
        await cluster.leaving(running.key)
        yield
        self.check()

    async def finish(self, workload: Workload, within: float) -> str:
        """Have the probe of a job end by itself, and wait until its pod succeeded; returns what still runs of it.

        Raises:
            Inconclusive: The probe cannot be asked, does not end, or ends with another exit code than 0.
        """
        running, cluster = self.running.pop(str(workload)), await self._connected()
        await running.probe.close()
        try:
            await end(cluster.executor, *running.key)
        except (OSError, ProbeLost) as error:
            raise Inconclusive(f"the probe of {workload} cannot be asked to end: {error}") from error
        await cluster.application_ended(running.key)
        return ", ".join(await cluster.unfinished(running.key, within))

    async def stop(self, spec: WorkloadSpec) -> None:
        """Stop a workload and wait until its pod is gone; an already stopped one is no error."""
        for instance, old in list(self._replaced.items()):
            if str(old.spec) == str(spec):
                await self._end(self._replaced.pop(instance))
        await self._remove(spec)

    async def ensure_alive(self) -> None:
        """Raise Inconclusive unless every probe answers now, and no pod or container has ended."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN * self.timeout_scale):
                await asyncio.gather(*(running.probe.call(PING) for running in self.running.values()))
        except (TimeoutError, ProbeLost):
            await self._explained_check()
            raise Inconclusive("a probe stopped responding; could not determine which") from None
        await self._explained_check()

    async def stalls(self, interval: Interval) -> Sequence[Stall]:
        """The stalls of each probe in an interval, by the clock of its own machine."""
        probes = self.running.items()
        return await asyncio.gather(*(felt(f"probe of {name}", one.probe, interval) for name, one in probes))

    def longest_stalls(self) -> Mapping[str, float]:
        """The longest stall of any probe in seconds."""
        self._longest = max((self._longest, *(running.probe.longest for running in self.running.values())))
        return {"probes": self._longest}

    async def remove_dead(self) -> Sequence[str]:
        """Remove workloads whose pod is gone or whose containers restarted; returns them as ``namespace/name``."""
        dead = [running.spec for running in self.running.values() if self._is_dead(running)]
        for spec in dead:
            await self._remove(spec)
        return list(map(str, dead))

    def check(self) -> None:
        """Raise Inconclusive if a workload has lost its probe or a container, or cannot be reached now."""
        for name, running in self.running.items():
            if why := self._fate_of(running) or running.probe.trouble:
                raise Inconclusive(f"{name} died or restarted during the check: {why}")

    async def _explained_check(self) -> None:
        """As ``check``, with the reason from the log of a container that ended."""
        try:
            self.check()
        except Inconclusive as lost:
            cluster = await self._connected()
            for running in self.running.values():
                now = cluster.pods.known.get(running.key)
                if now is not None and (container := ended_container(running.pod, now)):
                    words = last_words(await log_of_ended(cluster.api, now, container))
                    raise Inconclusive(f"{lost}; {words}") from lost
            raise

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

    def wire(
        self, client: Workload, server: Workload, port: str, hops: Sequence[ProxyHop] = ()
    ) -> AbstractAsyncContextManager[Wire]:
        """Capture all traffic between two workloads, on every node that it passes, while the block runs."""
        return self._wire(client, server, port, hops)

    async def diagnose(self, directory: Path) -> None:
        """Write the logs of all containers and the events of the namespaces of the run."""
        cluster = await self._connected()
        await write_logs(cluster.api, directory, await self.pods())
        for namespace in self._namespaces:
            await write_events(cluster.api, directory, namespace)

    async def close(self) -> None:
        """Start to delete the namespaces, and close every connection. Who ends the run waits until they are gone."""
        if self._connection is None:
            return
        cluster = await self._connected()
        try:
            if not self._cluster_ref.transient:
                names = [*self._namespaces, self._watchers.namespace]
                await cluster.delete([manifests.namespace(self.owner, name) for name in names])
        finally:
            for task in self._namespaces.values():
                task.cancel()
            instances = (*self.running.values(), *self._replaced.values())
            await asyncio.gather(self._watchers.close(), *(running.probe.close() for running in instances))
            self.running.clear()
            await cluster.close()

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
            raise Inconclusive(f"the mesh enrols whole namespaces, but {name} has both enrolled workloads and others")
        await asyncio.shield(self._namespaces[name])

    async def _enter(self, spec: WorkloadSpec, service_address: str, generation: int) -> Workload:
        """Take an instance in once it can be spoken to."""
        cluster = await self._connected()
        pod = await cluster.ready_pod(spec.namespace, spec.name, generation)
        probe = await cluster.probe_of(pod)
        self.running[str(spec)] = Running(spec, pod, service_address, probe, generation)
        instance = pod["metadata"]["name"]
        return Workload(spec, probe, self.journal, self.resolve, instance, self._patience)

    @property
    def _patience(self) -> float:
        return PATIENCE * self.timeout_scale

    def _listen(self, spec: WorkloadSpec, port: str, tls: m.ServerTls | None = None) -> m.Listen:
        declared = spec.port(port)
        return m.Listen(
            port=port,
            address=("0.0.0.0", port_number(spec, port)),  # noqa: S104 - a pod has one network of its own
            protocol=declared.protocol,
            server_first=declared.server_first,
            tls=tls,
        )

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

    def _is_dead(self, running: Running) -> bool:
        return running.probe.lost or self._fate_of(running) is not None

    def _fate_of(self, running: Running) -> str | None:
        if self._connection is None or not self._connection.done():
            return None
        now = self._connection.result().pods.known.get(running.key)
        return fate(running.pod, now, may_leave=str(running.spec) in self._leaving)

    async def _remove(self, spec: WorkloadSpec) -> None:
        """Remove a workload, also one that did not start; the service goes with the last replica."""
        self._leaving.discard(str(spec))
        running, generation = self.running.pop(str(spec), None), spec.replica
        if running is not None:
            await running.probe.close()
            generation = running.generation
        made = [manifests.workload_resource(self.owner, spec, Metadata(), generation)]
        if not any(other.spec.service == spec.service for other in self.running.values()):
            made += [manifests.service_account(self.owner, spec), manifests.service(self.owner, spec)]
        cluster = await self._connected()
        await cluster.delete(made)
        await cluster.gone(spec.namespace, spec.name, generation)

    @asynccontextmanager
    async def _wire(
        self, client: Workload, server: Workload, port: str, hops: Sequence[ProxyHop]
    ) -> AsyncIterator[Wire]:
        self.check()
        between = [End(hop.name, (hop.address,), hop.node) for hop in hops]
        ends = [_end(self.running[str(client)]), *between, _end(self.running[str(server)])]
        nodes = {running.node for running in self.running.values()} | {end.node for end in ends}
        watchers = await self._watchers.on(nodes, await self._connected())
        async with watched(ends, port, watchers) as way:
            yield RecordedWire(way, self.journal)


def _end(running: Running) -> End:
    return End(str(running.spec), (running.address, running.service_address), running.node)
