"""The privileged pods, one on each node with a workload: they capture network traffic, and kill containers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload_spec import STARTS_WITHIN
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.connection import Connection
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from pytest_meshcheck.platforms.kubernetes.workloads.pods import obstacle, ready
from pytest_meshcheck.platforms.kubernetes.workloads.running import pods_of
from pytest_meshcheck.probe.controller import Probe

DAEMON = "wire"


@dataclass(eq=False)
class Watchers:
    """The capturing pods; started for the first capture, and again once one of them is in trouble.

    Attributes:
        owner: The owner of the pods, which have a namespace of their own.
    """

    owner: Ownership
    _probes: dict[str, Probe] = field(default_factory=dict)
    """By node."""
    _connecting: "asyncio.Task[None] | None" = None

    @property
    def namespace(self) -> str:
        """The namespace of the pods."""
        return str(manifests.watchers(self.owner)[0]["metadata"]["name"])

    async def on(self, nodes: set[str], connection: Connection) -> Mapping[str, Probe]:
        """The probes of the pods by node.

        Raises:
            Inconclusive: There is none on one of these nodes.
        """
        while self._lacks(nodes):
            if self._connecting is None or self._connecting.done():
                self._connecting = asyncio.create_task(self._connect(nodes, connection))
            await asyncio.shield(self._connecting)
        return self._probes

    async def pod_on(self, node: str, connection: Connection) -> Object:
        """The pod on a node.

        Raises:
            Inconclusive: There is none.
        """
        await self.on({node}, connection)
        mine = pods_of(connection.pods.known, self.namespace, DAEMON)
        return next(pod for pod in mine if pod["spec"].get("nodeName") == node)

    async def close(self) -> None:
        """Close the control connections."""
        if self._connecting is not None:
            self._connecting.cancel()
        await asyncio.gather(*(probe.close() for probe in self._probes.values()))

    def _lacks(self, nodes: set[str]) -> bool:
        return any(node not in self._probes or self._probes[node].trouble for node in nodes)

    async def _connect(self, nodes: set[str], connection: Connection) -> None:
        """Connect to all pods that are ready, to each once: it accepts one controller at a time."""
        for node, probe in [*self._probes.items()]:
            if probe.trouble:
                del self._probes[node]
                await probe.close()
        home, daemons = manifests.watchers(self.owner)
        await connection.apply([home])
        await connection.apply([daemons])

        def everywhere(known: Mapping[tuple[str, str], Object]) -> bool:
            mine = pods_of(known, self.namespace, DAEMON)
            for pod in mine:
                if pod["spec"].get("nodeName") in {None, *nodes} and (why := obstacle(pod)):
                    raise Inconclusive(f"no privileged pod can start: {why}")
            return nodes <= {pod["spec"].get("nodeName") for pod in mine if ready(pod)}

        try:
            await connection.pods.until(everywhere, STARTS_WITHIN * connection.timeout_scale)
        except TimeoutError as late:
            raise Inconclusive(f"privileged pods do not run on all nodes of {sorted(nodes)}") from late
        for pod in filter(ready, pods_of(connection.pods.known, self.namespace, DAEMON)):
            node = pod["spec"]["nodeName"]
            if node not in self._probes:
                await self._connect_to(pod, connection, needed=node in nodes)

    async def _connect_to(self, pod: Object, connection: Connection, *, needed: bool) -> None:
        try:
            self._probes[pod["spec"]["nodeName"]] = await connection.probe_of(pod)
        except Inconclusive:
            if needed:
                raise
