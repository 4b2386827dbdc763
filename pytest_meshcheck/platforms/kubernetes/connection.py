"""A platform's connection to its cluster: applies resources, awaits pods, and connects to their probes."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload_spec import STARTS_WITHIN, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, selector
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Object, Refused
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor
from pytest_meshcheck.platforms.kubernetes.evidence.logs import last_warning, unready_nodes
from pytest_meshcheck.platforms.kubernetes.workloads import room
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import CONTAINER, RELAY, RUN, Ownership, sample
from pytest_meshcheck.platforms.kubernetes.workloads.pods import (
    PODS,
    Pods,
    exit_code,
    is_leaving,
    obstacle,
    progress,
    ready,
    succeeded,
    unfinished,
)
from pytest_meshcheck.platforms.kubernetes.workloads.running import pods_of
from pytest_meshcheck.probe.controller import ControlStream, Probe, ProbeLost

SAMPLES = "/api/v1/namespaces/default/pods"
"""Where pods are created by dry run only, which shows the additions of a mesh."""

NODES = "/api/v1/nodes"
GONE_WITHIN = 90.0
ONE_TRY = 1.0


@dataclass(eq=False)
class Connection:
    """One session's connection.

    Attributes:
        pods: The pods of this process of the run.
        timeout_scale: Factor for every timeout.
    """

    api: Api
    executor: Executor
    pods: Pods
    timeout_scale: float
    _awaited: dict[tuple[str, str, int], float] = field(default_factory=dict)
    """Since when each pod has been awaited, so that one that never comes costs the run its timeout only once."""

    @classmethod
    async def to(cls, cluster_ref: ClusterRef, owner: Ownership, timeout_scale: float) -> "Connection":
        """Connect to a cluster, and start to watch the pods of one owner."""
        api = await Api.connect(cluster_ref.kubeconfig, cluster_ref.context)
        return cls(api, Executor(api.configuration), Pods(api, selector(owner.labels)), timeout_scale)

    async def apply(self, wanted: Sequence[Manifest]) -> list[Object]:
        """Create or replace resources, and return their new state; Inconclusive if the API server stays away.

        It ends with the last of them, even if one is rejected: whoever deletes them then must not come too early.
        """
        results = await asyncio.gather(*(self.api.apply(manifest) for manifest in wanted), return_exceptions=True)
        try:
            return [_unless_failed(result) for result in results]
        except UNREACHABLE as error:
            raise Inconclusive(f"the API server cannot be reached: {error}") from error

    async def delete(self, unwanted: Sequence[Manifest]) -> None:
        """Remove resources; those that are gone already are no error."""
        await asyncio.gather(*(self.api.delete(manifest) for manifest in unwanted))

    async def ready_pod(self, namespace: str, name: str, generation: int, within: float = STARTS_WITHIN) -> Object:
        """The ready pod of a workload; Inconclusive if there is none in time, or never will be."""
        found: list[Object] = []

        def is_there(known: Mapping[tuple[str, str], Object]) -> bool:
            found[:] = pods_of(known, namespace, name, generation)
            for pod in found:
                if why := obstacle(pod):
                    raise Inconclusive(f"{namespace}/{name} cannot start: {why}")
            found.sort(key=ready, reverse=True)
            return bool(found) and ready(found[0])

        begun = self._awaited.setdefault((namespace, name, generation), time.monotonic())
        patience = begun + within * self.timeout_scale - time.monotonic()
        try:
            await self.pods.until(is_there, max(patience, ONE_TRY))
        except TimeoutError as late:
            state = await self._awaiting(namespace, name, found)
            seconds = time.monotonic() - begun
            raise Inconclusive(f"{namespace}/{name} is not ready after {seconds:.0f} s: {state}") from late
        del self._awaited[namespace, name, generation]
        return found[0]

    async def address_of(self, namespace: str, name: str, generation: int) -> str:
        """The address of a workload's pod, which it has before it is ready; Inconclusive if it gets none in time."""
        patience = STARTS_WITHIN * self.timeout_scale
        addresses: list[str] = []

        def has_address(known: Mapping[tuple[str, str], Object]) -> bool:
            pods = pods_of(known, namespace, name, generation)
            addresses[:] = [pod["status"]["podIP"] for pod in pods if pod.get("status", {}).get("podIP")]
            return bool(addresses)

        try:
            await self.pods.until(has_address, patience)
        except TimeoutError as late:
            raise Inconclusive(f"the pod of {namespace}/{name} has no address after {patience:.0f} s") from late
        return addresses[0]

    async def leaving(self, key: tuple[str, str]) -> None:
        """Wait until a pod has been asked to end; Inconclusive if that takes too long."""
        patience = GONE_WITHIN * self.timeout_scale
        try:
            await self.pods.until(lambda known: is_leaving(known.get(key)), patience)
        except TimeoutError as late:
            raise Inconclusive(f"the pod {'/'.join(key)} did not start terminating within {patience:.0f} s") from late

    async def application_ended(self, key: tuple[str, str]) -> None:
        """Wait until the probe in a pod has ended; Inconclusive if that takes too long, or the exit code is not 0."""
        patience = GONE_WITHIN * self.timeout_scale
        try:
            await self.pods.until(lambda known: exit_code(known.get(key), CONTAINER) is not None, patience)
        except TimeoutError as late:
            raise Inconclusive(f"the probe in {'/'.join(key)} did not end within {patience:.0f} s") from late
        if code := exit_code(self.pods.known.get(key), CONTAINER):
            raise Inconclusive(f"the probe in {'/'.join(key)} ended with exit code {code} in place of 0")

    async def unfinished(self, key: tuple[str, str], within: float) -> Sequence[str]:
        """What of a job's pod has not ended well ``within`` seconds later; nothing if it succeeded or is gone."""
        with suppress(TimeoutError):
            await self.pods.until(lambda known: succeeded(known.get(key)), within)
        return unfinished(self.pods.known.get(key))

    async def nodes_for_workloads(self) -> int:
        """The number of nodes that accept workloads."""
        nodes, _ = await self.api.items(NODES)
        return sum(bool(room.allocatable(node).pods) for node in nodes)

    async def refuse_beyond(
        self, owner: Ownership, planned: Sequence[tuple[WorkloadSpec, Metadata]], processes: int
    ) -> None:
        """Raise Inconclusive if the nodes have no room for these workloads in each of ``processes`` processes of a run.

        Pods of the run are not counted, because they are part of the plan. If the cluster refuses the question, the
        workloads are taken to fit.
        """
        try:
            pods = [await self.api.created_dry(SAMPLES, sample(owner, *one)) for one in planned]
            nodes, _ = await self.api.items(NODES)
            there, _ = await self.api.items(PODS)
        except (*UNREACHABLE, Refused):
            return
        others = [pod for pod in there if pod["metadata"].get("labels", {}).get(RUN) != owner.run]
        wanted, left = room.total(map(room.requested, pods)) * processes, room.free(nodes, others)
        if not left.holds(wanted):
            fewer = "" if processes == 1 else f", fewer processes than -n {processes}"
            raise Inconclusive(
                f"the workloads of the run do not fit on the cluster: they request {wanted}, and its nodes have {left} "
                f"left; take more or larger nodes{fewer}, or smaller requests of the mesh's proxies (--mesh-values)"
            )

    async def gone(self, namespace: str, name: str, generation: int) -> None:
        """Wait until no pod of a workload is left; Inconclusive if one stays."""
        self._awaited.pop((namespace, name, generation), None)  # the next one of this name has all its time again
        patience = GONE_WITHIN * self.timeout_scale

        def are_gone(known: Mapping[tuple[str, str], Object]) -> bool:
            return not pods_of(known, namespace, name, generation)

        try:
            await self.pods.until(are_gone, patience)
        except TimeoutError as late:
            raise Inconclusive(f"the pod of {namespace}/{name} is still there after {patience:.0f} s") from late

    async def probe_of(self, pod: Object) -> Probe:
        """The control connection to the probe in a pod; Inconclusive if it cannot be reached."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]

        async def dial() -> ControlStream:
            return await self.executor.open(namespace, name, CONTAINER, RELAY)

        try:
            return await Probe.at(dial)
        except (OSError, ProbeLost) as error:
            raise Inconclusive(f"the probe in {namespace}/{name} cannot be reached: {error}") from error

    async def close(self) -> None:
        """End the watch and close all connections."""
        await self.pods.close()
        await self.executor.close()
        await self.api.close()

    async def _awaiting(self, namespace: str, name: str, pods: Sequence[Object]) -> str:
        """Why a workload does not become ready."""
        try:
            states = [progress(pods[0]) if pods else "no pod was made", await last_warning(self.api, namespace, name)]
            return "; ".join(filter(None, [*states, *await unready_nodes(self.api)]))
        except (*UNREACHABLE, Refused) as error:
            return f"the API server does not say why: {error}"


def _unless_failed(result: Object | BaseException) -> Object:
    if isinstance(result, BaseException):
        raise result
    return result
