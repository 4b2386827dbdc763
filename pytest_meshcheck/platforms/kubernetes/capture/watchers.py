"""The privileged pods, one on each node with a workload: they capture network traffic, and kill containers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

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
    _probes: "asyncio.Task[dict[str, Probe]] | None" = None

    @property
    def namespace(self) -> str:
        """The namespace of the pods."""
        return str(manifests.watchers(self.owner)[0]["metadata"]["name"])

    async def on(self, nodes: set[str], connection: Connection) -> dict[str, Probe]:
        """The probes of the pods by node.

        Raises:
            Inconclusive: There is none on one of these nodes.
        """
        if self._probes is None or (self._probes.done() and _in_trouble(self._probes)):
            self._probes = asyncio.create_task(self._start(nodes, connection, _connected(self._probes)))
        return await asyncio.shield(self._probes)

    async def pod_on(self, node: str, connection: Connection) -> Object:
        """The pod on a node.

        Raises:
            Inconclusive: There is none.
        """
        await self.on({node}, connection)
        mine = pods_of(connection.pods.known, self.namespace, DAEMON)
        return next(pod for pod in mine if pod["spec"]["nodeName"] == node)

    async def close(self) -> None:
        """Close the control connections."""
        if self._probes is None:
            return
        self._probes.cancel()
        await asyncio.gather(*(probe.close() for probe in _connected(self._probes).values()))

    async def _start(self, nodes: set[str], connection: Connection, earlier: Mapping[str, Probe]) -> dict[str, Probe]:
        """Connect to all pods; working connections are reused, because a pod accepts one controller at a time."""
        await asyncio.gather(*(probe.close() for probe in earlier.values() if probe.trouble))
        sound = {node: probe for node, probe in earlier.items() if not probe.trouble}
        home, daemons = manifests.watchers(self.owner)
        await connection.apply([home])
        await connection.apply([daemons])

        def everywhere(known: Mapping[tuple[str, str], Object]) -> bool:
            mine = pods_of(known, self.namespace, DAEMON)
            for pod in mine:
                if why := obstacle(pod):
                    raise Inconclusive(f"no privileged pod can start: {why}")
            return nodes <= {pod["spec"].get("nodeName") for pod in mine if ready(pod)}

        try:
            await connection.pods.until(everywhere, STARTS_WITHIN * connection.timeout_scale)
        except TimeoutError as late:
            raise Inconclusive(f"privileged pods do not run on all nodes of {sorted(nodes)}") from late
        mine = pods_of(connection.pods.known, self.namespace, DAEMON)
        pods = {pod["spec"]["nodeName"]: pod for pod in mine}
        return {node: sound.get(node) or await connection.probe_of(pod) for node, pod in pods.items()}


def _in_trouble(probes: "asyncio.Task[dict[str, Probe]]") -> bool:
    return not (connected := _connected(probes)) or any(probe.trouble for probe in connected.values())


def _connected(probes: "asyncio.Task[dict[str, Probe]] | None") -> dict[str, Probe]:
    if probes is None or not probes.done() or probes.cancelled() or probes.exception():
        return {}
    return probes.result()
