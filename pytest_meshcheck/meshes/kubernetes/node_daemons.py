"""Daemons of a mesh, of which each node has one pod."""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
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
            Inconclusive: There is no pod, or no other one becomes ready.
        """
        api, within = await platform.api(), INSTALLED_WITHIN * platform.timeout_scale
        old = await self._pod_on(api, node)
        uid, name = old["metadata"]["uid"], old["metadata"]["name"]
        await api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": self.namespace}})

        def is_replaced(there: Sequence[Object]) -> bool:
            pods = _on_node(there, node)
            return bool(pods) and all(one["metadata"]["uid"] != uid and is_ready(one) for one in pods)

        try:
            await api.until(self._path, self.selector, is_replaced, within)
        except TimeoutError as late:
            raise Inconclusive(
                f"the pod {name} on {node} was deleted, and no other is ready after {within:.0f} s"
            ) from late

    async def restart(self, platform: Kubernetes, workload: Workload, *, ready: bool = True) -> None:
        """Kill it on the node of a workload, and wait until it runs again, with ``ready`` until it is ready.

        Raises:
            Inconclusive: There is no pod, or it does not come back.
        """
        api, within = await platform.api(), INSTALLED_WITHIN * platform.timeout_scale
        node = platform.node_of(workload)
        pod = await self._pod_on(api, node)
        before = await platform.kill(pod, self.container)

        def is_back(there: Sequence[Object]) -> bool:
            of_node = (one for one in there if one["metadata"]["uid"] == pod["metadata"]["uid"])
            return any(has_come_back(one, before, ready=ready) for one in of_node)

        try:
            await api.until(self._path, self.selector, is_back, within)
        except TimeoutError as late:
            raise Inconclusive(
                f"the container {self.container} on {node} was killed, and is not back after {within:.0f} s"
            ) from late

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    async def _pod_on(self, api: Api, node: str) -> Object:
        pods, _ = await api.items(self._path, self.selector)
        if not (there := _on_node(pods, node)):
            raise Inconclusive(f"no pod with {self.selector} in {self.namespace} runs on {node}")
        return there[0]


def _on_node(pods: Sequence[Object], node: str) -> list[Object]:
    return [one for one in pods if one["spec"].get("nodeName") == node]
