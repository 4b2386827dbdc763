"""Daemons of a mesh, of which each node has one pod."""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.kubernetes.workloads.pods import ready as is_ready
from pytest_meshcheck.platforms.kubernetes.workloads.signals import has_come_back


@dataclass(frozen=True)
class NodeDaemon:
    """A daemon.

    Attributes:
        namespace: The namespace of its pods.
        selector: The label selector of its pods.
        container: The container that does its work.
    """

    namespace: str
    selector: str
    container: str

    async def replace(self, platform: Kubernetes, node: str) -> None:
        """Delete its pod on a node, and wait until another one there is ready.

        Raises:
            Inconclusive: No other one becomes ready.
        """
        api, within = await platform.api(), INSTALLED_WITHIN * platform.timeout_scale
        path = f"/api/v1/namespaces/{self.namespace}/pods"

        def on_node(pods: Sequence[Object]) -> list[Object]:
            return [one for one in pods if one["spec"].get("nodeName") == node]

        (old,) = on_node((await api.items(path, self.selector))[0])
        gone = {"name": old["metadata"]["name"], "namespace": self.namespace}
        await api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": gone})

        def is_replaced(there: Sequence[Object]) -> bool:
            pods = on_node(there)
            return bool(pods) and all(
                one["metadata"]["uid"] != old["metadata"]["uid"] and is_ready(one) for one in pods
            )

        try:
            await api.until(path, self.selector, is_replaced, within)
        except TimeoutError as late:
            raise Inconclusive(
                f"the pod {old['metadata']['name']} on {node} was deleted, and no other is ready after {within:.0f} s"
            ) from late

    async def restart(self, platform: Kubernetes, workload: Workload, *, ready: bool = True) -> None:
        """Kill it on the node of a workload, and wait until it runs again, with ``ready`` until it is ready.

        Raises:
            Inconclusive: It does not come back.
        """
        api, node = await platform.api(), platform.node_of(workload)
        path, within = f"/api/v1/namespaces/{self.namespace}/pods", INSTALLED_WITHIN * platform.timeout_scale
        pods, _ = await api.items(path, self.selector)
        (pod,) = (one for one in pods if one["spec"].get("nodeName") == node)
        before = await platform.kill(pod, self.container)

        def is_back(there: Sequence[Object]) -> bool:
            of_node = (one for one in there if one["metadata"]["uid"] == pod["metadata"]["uid"])
            return any(has_come_back(one, before, ready=ready) for one in of_node)

        try:
            await api.until(path, self.selector, is_back, within)
        except TimeoutError as late:
            raise Inconclusive(
                f"the container {self.container} on {node} was killed, and is not back after {within:.0f} s"
            ) from late
