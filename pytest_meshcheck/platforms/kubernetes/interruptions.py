"""Interruptions of what runs in a cluster: containers that are killed or stopped, nodes that restart."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import STARTS_WITHIN
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.capture.watchers import Watchers
from pytest_meshcheck.platforms.kubernetes.deployments import Deployments
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.nodes import restart
from pytest_meshcheck.platforms.kubernetes.workloads.pods import ready as is_ready
from pytest_meshcheck.platforms.kubernetes.workloads.ports import listen
from pytest_meshcheck.platforms.kubernetes.workloads.running import Running
from pytest_meshcheck.platforms.kubernetes.workloads.signals import has_come_back, send_signal, status_of

NODE_IS_BACK_WITHIN = 240.0
"""Seconds until a workload on a restarted node is ready: kubelet, network and data plane start before it does."""
ENOUGH_NODES = 2
"""The nodes for a caller and for a workload whose node restarts."""


class Interruptions(Deployments):
    """Workloads whose containers and nodes can be interrupted, from privileged pods on the nodes."""

    def __init__(self, journal: Journal, cluster_ref: ClusterRef, part: str = "", timeout_scale: float = 1.0) -> None:
        super().__init__(journal, cluster_ref, part, timeout_scale)
        self._watchers = Watchers(self.owner)

    async def kill(self, pod: Object, container: str) -> Object:
        """Kill a container of any pod, and return its status before; the kubelet restarts it.

        Raises:
            Inconclusive: It could not be killed.
        """
        return await self._send(pod, container, signal.SIGKILL)

    @asynccontextmanager
    async def stopped(self, pod: Object, container: str) -> AsyncIterator[None]:
        """The processes of a container of any pod stand still while the block runs; its data and its peers stay.

        Raises:
            Inconclusive: It could not be stopped, or does not go on.
        """
        try:
            await self._send(pod, container, signal.SIGSTOP)
            yield
        finally:
            await asyncio.shield(self._send(pod, container, signal.SIGCONT))

    async def _send(self, pod: Object, container: str, number: signal.Signals) -> Object:
        """Send a signal to a container of any pod, and return its status before."""
        cluster, status = await self._connected(), status_of(pod, container)
        watcher = await self._watchers.pod_on(pod["spec"]["nodeName"], cluster)
        await send_signal(cluster.executor, watcher, status, number)
        return status

    async def restart_container(self, workload: Workload, container: str, *, ready: bool = True) -> None:
        """Kill a container of a workload's pod, and wait until another runs; with ``ready``, until the pod is ready.

        Raises:
            Inconclusive: It could not be killed, or does not come back.
        """
        running = self.running[str(workload)]
        before = await self.kill(running.pod, container)
        pod = await self._restarted(running, before, f"{container} of {workload} was killed", ready=ready)
        self.running[str(workload)] = replace(running, pod=pod)

    async def prepare_to_kill(self, workload: Workload) -> None:
        """Have the privileged pod on a workload's node run, which kills containers there.

        Raises:
            Inconclusive: It cannot start.
        """
        await self._watchers.pod_on(self.running[str(workload)].node, await self._connected())

    def node_address(self, workload: Workload) -> str:
        """The address of the node of a workload."""
        return self.running[str(workload)].node_address

    async def insist_on_two_nodes(self) -> None:
        """Raise Unsupported unless two nodes accept workloads."""
        if await (await self._connected()).nodes_for_workloads() < ENOUGH_NODES:
            raise Unsupported("needs two nodes that accept pods: name a larger cluster with --mesh-kind-config")

    async def insist_on_restarts(self) -> None:
        """Raise Unsupported unless a node can be restarted while another one works on."""
        if not self._cluster_ref.is_own:
            raise Unsupported("nodes are restarted in kind clusters of the suite alone: leave out --mesh-context")
        await self.insist_on_two_nodes()

    async def restart_node(self, workload: Workload) -> tuple[Workload, Sequence[str]]:
        """Restart the node of a workload, and wait until the workload serves again.

        Other workloads of this process on the node are stopped before.

        Returns:
            The workload as it is now, and the names of those that were stopped.

        Raises:
            Inconclusive: The node cannot be restarted, or the workload does not come back.
        """
        running = self.running[str(workload)]
        others = [one.spec for one in self.running.values() if one.node == running.node and one is not running]
        for spec in others:
            await self._remove(spec)
        before = status_of(running.pod, manifests.CONTAINER)
        await restart(running.node)
        await running.probe.close()
        why = f"the node {running.node} of {workload} was restarted"
        await self._restarted(running, before, why, within=NODE_IS_BACK_WITHIN)
        again = await self._enter(running.spec, running.service_address, running.generation)
        await self._open(again, [listen(running.spec, port.name) for port in running.spec.ports])
        return again, [str(spec) for spec in others]

    async def _restarted(
        self, running: Running, before: Object, why: str, *, ready: bool = True, within: float = STARTS_WITHIN
    ) -> Object:
        """The pod of a workload once a container of it has been restarted; with ``ready``, once it is ready."""
        cluster, within = await self._connected(), within * self.timeout_scale

        def is_back(known: Mapping[tuple[str, str], Object]) -> bool:
            pod = known.get(running.key)
            return pod is not None and has_come_back(pod, before, ready=ready) and (is_ready(pod) or not ready)

        try:
            await cluster.pods.until(is_back, within)
        except TimeoutError as late:
            raise Inconclusive(f"{why}, and {before['name']} is not back after {within:.0f} s") from late
        return cluster.pods.known[running.key]
