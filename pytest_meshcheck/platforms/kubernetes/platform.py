"""The platform of a Kubernetes cluster."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Interval, Metadata, ProxyHop, Stall, Wire
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Object, Refused
from pytest_meshcheck.platforms.kubernetes.capture.between_nodes import watched_between_nodes
from pytest_meshcheck.platforms.kubernetes.capture.wire import End, watched
from pytest_meshcheck.platforms.kubernetes.evidence.logs import write_events, write_logs
from pytest_meshcheck.platforms.kubernetes.interruptions import Interruptions
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.pods import fate
from pytest_meshcheck.platforms.kubernetes.workloads.ports import listen
from pytest_meshcheck.platforms.kubernetes.workloads.running import Running
from pytest_meshcheck.platforms.kubernetes.workloads.signals import end
from pytest_meshcheck.platforms.last_words import last_words
from pytest_meshcheck.platforms.recording import RecordedWire
from pytest_meshcheck.platforms.stalls import felt
from pytest_meshcheck.probe.controller import ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

ANSWERS_WITHIN = 5.0
"""Seconds that a probe has to show that it is alive."""

ASKED_WITHIN = 10.0
"""Seconds after the deletion of a pod until the kubelet asks its containers to end."""

PING = m.ReadLedger("nobody")
"""A request that only proves that a probe answers."""


class Kubernetes(Interruptions):
    """One process of a run in a cluster: what becomes of its workloads, and what goes over the network."""

    def __init__(self, journal: Journal, cluster_ref: ClusterRef, part: str = "", timeout_scale: float = 1.0) -> None:
        super().__init__(journal, cluster_ref, part, timeout_scale)
        self._replaced: dict[str, Running] = {}
        self._longest = 0.0

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
        await self._open(new_instance, [listen(spec, port.name) for port in spec.ports])
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
        await self._asked_to_end(running)
        yield
        self.check()

    async def _asked_to_end(self, running: Running) -> None:
        """Wait until the kubelet has asked the containers of a pod to end, a while after the pod was deleted."""
        within = ASKED_WITHIN * self.timeout_scale
        try:
            async with asyncio.timeout(within):
                await running.probe.call(m.AwaitTermination())
        except (TimeoutError, ProbeLost) as late:
            raise Inconclusive(
                f"{running.spec} got no SIGTERM within {within:.0f} s of its deletion; is its node overloaded?"
            ) from late

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
        """Remove workloads whose pod is gone or whose containers restarted; returns them as ``namespace/name``.

        The API server may not know yet of a container that a restart of its node has ended; its probe does.
        """
        await asyncio.gather(*(running.probe.settled() for running in self.running.values()))
        dead = [running.spec for running in self.running.values() if self._is_dead(running)]
        for spec in dead:
            try:
                await self._remove(spec)
            except (*UNREACHABLE, Refused, Inconclusive) as trouble:  # it is dead all the same
                self.journal.add("removal", str(spec), f"failed: {trouble}")
        return list(map(str, dead))

    def check(self) -> None:
        """Raise Inconclusive if a workload has lost its probe or a container, or cannot be reached now."""
        for name, running in self.running.items():
            if why := self._fate_of(running) or running.probe.trouble:
                raise Inconclusive(f"{name} died or restarted during the check: {why}")

    async def crashes(self) -> Sequence[str]:
        """How each data plane ended that crashed since ``forget_crashes``, as far as the kubelet knows.

        It notices an end within a second: a crash at the very end of a check is reported by the next one.
        """
        of_running = [await self._crash_of(one) for one in self.running.values()]
        nodes = {one.node for one in self.running.values()}

        def concerns(pod: Object) -> bool:
            of_run = pod["metadata"].get("labels", {}).items() >= self.owner.labels.items()
            return of_run or pod["spec"].get("nodeName") in nodes

        of_shared = await self._shared.crashes(await self.api(), concerns)
        return [*self._crashes.report(filter(None, of_running)), *of_shared]

    def forget_crashes(self) -> None:
        """Forget the reported crashes of data planes that are gone, or that workloads share."""
        self._crashes.forget_reported()
        self._shared.forget()

    async def watch_data_planes(self, *selectors: str) -> None:
        """Notice crashes in pods with these labels from now on; several workloads share such a data plane."""
        for selector in selectors:
            await self._shared.watch(await self.api(), selector)

    async def _explained_check(self) -> None:
        """As ``check``, with the reason from the log of a container that ended."""
        try:
            self.check()
        except Inconclusive as lost:
            for running in self.running.values():
                if ended := await self._end_of(running):
                    raise Inconclusive(f"{lost}; {last_words(ended[1])}") from lost
            raise

    def wire(
        self, client: Workload, server: Workload, port: str, hops: Sequence[ProxyHop] = ()
    ) -> AbstractAsyncContextManager[Wire]:
        """Capture all traffic between two workloads, on every node that it passes, while the block runs."""
        return self._wire(client, server, port, hops)

    @asynccontextmanager
    async def wire_between_nodes(
        self, client: Workload, server: Workload, *, near_only: bool = False
    ) -> AsyncIterator[Wire]:
        """Capture everything that the nodes of two workloads send each other, on both of them, while the block runs.

        With ``near_only`` it is captured on the client's node alone, so that the server's may restart.

        Raises:
            Inconclusive: Both run on one node, or packets cannot be captured there.
        """
        ends = (self.running[str(client)], self.running[str(server)])
        watchers = await self._watchers.on({end.node for end in ends}, await self._connected())
        async with watched_between_nodes(*ends, watchers, near_only=near_only) as path:
            yield RecordedWire(path, self.journal)

    def node_of(self, workload: Workload) -> str:
        """The name of the node of a workload."""
        return self.running[str(workload)].node

    async def host(self, workload: Workload) -> Workload:
        """A caller on the node of a workload, in the network of the node and not in that of a pod.

        Raises:
            Inconclusive: No privileged pod can start there.
        """
        node, cluster = self.node_of(workload), await self._connected()
        probes = await self._watchers.on({node}, cluster)
        spec = WorkloadSpec(self._watchers.namespace, node, Enrolment.UNENROLLED, ports=())
        return Workload(spec, probes[node], self.journal, self.resolve, node, self._patience)

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
            await asyncio.gather(
                self._watchers.close(), self._shared.close(), *(running.probe.close() for running in instances)
            )
            self.running.clear()
            await cluster.close()

    def _is_dead(self, running: Running) -> bool:
        return running.probe.lost or self._fate_of(running) is not None

    def _fate_of(self, running: Running) -> str | None:
        if self._connection is None or not self._connection.done():
            return None
        now = self._connection.result().pods.known.get(running.key)
        return fate(running.pod, now, may_leave=str(running.spec) in self._leaving)

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
