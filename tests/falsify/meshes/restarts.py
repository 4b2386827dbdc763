"""The embedded mesh whose data planes lose requests, or let some through, while they are restarted or replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.xfcc import HEADER
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify import parts
from tests.falsify.defect import Resources
from tests.falsify.meshes.relays import relayed

PORT = "http"
USED_WITHIN = 5.0


class ServersOpenWhileRestarting(EnvoyMesh):
    """Leads callers straight to the application while the data plane of a server is away."""

    async def kill_data_plane(self, workload: Workload) -> None:
        plane = self._planes[str(workload)]
        await self._launcher.stop(plane.sidecar)
        async with relayed(*self._way(workload)) as used:
            await asyncio.wait_for(used.wait(), USED_WITHIN)
        await self._launcher.run(plane.sidecar)

    def _way(self, workload: Workload) -> tuple[Address, Address]:
        member = self._planes[str(workload)].member
        return member.data_plane(PORT), member.application(PORT)


class ClientsOpenWhileRestarting(ServersOpenWhileRestarting):
    """Leads requests straight to the server's data plane while that of the client is away."""

    def _way(self, workload: Workload) -> tuple[Address, Address]:
        client, server = self._planes[str(workload)].member, self._planes["blue/server"].member
        return client.outbound(server, PORT), server.data_plane(PORT)


class ReadableAfterRestart(EnvoyMesh):
    """Has data planes name their workload in a header, and connect without TLS once they have been restarted."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=self._published, timeout_scale=timeout_scale)
        self._restarted: set[str] = set()

    async def kill_data_plane(self, workload: Workload) -> None:
        self._restarted.add(str(workload))
        await super().kill_data_plane(workload)
        self.publish(force=True)
        await self.settled()

    def _published(self, workload: str, resources: Resources) -> Resources:
        for manager in parts.managers(*parts.inbound(resources)):
            manager["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY"
        own = {"key": HEADER, "value": f"URI={self._planes[workload].certificate.uri}"}
        for _, route in parts.outbound_routes(resources):
            route.setdefault("request_headers_to_add", []).append({"header": own})
        for cluster in resources["clusters"] if workload in self._restarted else ():
            cluster.pop("transport_socket", None)
        return resources


class ReplacedAtOnce(EnvoyMesh):
    """Ends a data plane as soon as another one has taken over."""

    @asynccontextmanager
    async def data_plane_replacement(self, workload: Workload) -> AsyncIterator[None]:
        async with super().data_plane_replacement(workload):
            pass
        yield


class ReplacedCold(EnvoyMesh):
    """Ends a data plane before another one is started."""

    @asynccontextmanager
    async def data_plane_replacement(self, workload: Workload) -> AsyncIterator[None]:
        await self.restart_data_plane(workload)
        yield


class GoneBeforeCallersKnow(EnvoyMesh):
    """Cuts the connections of a terminating endpoint while callers still use it."""

    async def retire(self, member: Member) -> None:
        await self._launcher.restart(self._planes[str(member)].sidecar)
        await self.settled()
        await super().retire(member)
