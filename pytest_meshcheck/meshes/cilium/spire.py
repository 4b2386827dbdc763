"""Cilium with SPIRE: agents authenticate workloads to each other, outside their connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pytest_meshcheck.meshes.cilium import variants
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.cilium.render import Strictness, access, routes
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.access.permissions import APPLIED, Permission
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.probe.controller import ProbeLost

SERVER = "spire-server"
COMMAND = ("/opt/spire/bin/spire-server", "entry")
"""https://spiffe.io/docs/latest/deploying/spire_server/#spire-server-entry-show"""
SELECTOR = "cilium:mutual-auth"
"""What all entries of Cilium's identities have."""
POLICIES = Permission("cilium.io", "ciliumnetworkpolicies", (*APPLIED, "delete"))
ENDPOINTS = Permission("cilium.io", "ciliumendpoints", ("get",))


class CiliumSpireMesh(CiliumMesh):
    """Network policies that require mutual authentication, by SVIDs that SPIRE issues to the agents."""

    def __init__(self, request: MeshRequest) -> None:
        super().__init__(request, variants.SPIRE)

    @property
    def permissions(self) -> Sequence[Permission]:
        """Cilium's permissions, plus applying CiliumNetworkPolicies and reading CiliumEndpoints."""
        return (*super().permissions, POLICIES, ENDPOINTS)

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as Cilium's network policies, which require authentication, and as HTTPRoutes."""
        strictness = Strictness(self.variant.why_not_strict, self.variant.source, authenticates=True)
        return [*access(policies, strictness), *routes(policies)]

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        """SPIRE's server answers nobody while the block runs; it keeps its data and its connections.

        Raises:
            Inconclusive: The server cannot be stopped.
        """
        async with self.platform.stopped(await self._server(), SERVER):
            yield

    @asynccontextmanager
    async def deregistration(self, workload: Workload) -> AsyncIterator[None]:
        """SPIRE's server has no entry for the workload while the block runs.

        The entry is that of the workload's labels: others with the same labels lose it as well.

        Raises:
            Inconclusive: The workload has no entry, or the server cannot be reached.
        """
        path = f"/identity/{await self._identity(workload)}"
        shown = json.loads(await self._entry("show", "-selector", SELECTOR, "-output", "json"))
        found = [one for one in shown["entries"] if one["spiffe_id"]["path"] == path]
        if len(found) != 1:
            raise Inconclusive(f"SPIRE's server has {len(found)} entries for {workload} ({path}), not one")
        await self._entry("delete", "-entryID", found[0]["id"])
        try:
            yield
        finally:
            await asyncio.shield(self._entry("create", *created(found[0])))

    async def _identity(self, workload: Workload) -> int:
        """The number that Cilium has given to the labels of a workload.

        https://docs.cilium.io/en/stable/gettingstarted/terminology/#identity
        """
        namespace, pod = self.platform.running[str(workload)].key
        path = f"/apis/cilium.io/v2/namespaces/{namespace}/ciliumendpoints/{pod}"
        endpoint = await (await self.platform.api()).read(path)
        number = endpoint and endpoint.get("status", {}).get("identity", {}).get("id")
        if not number:
            raise Inconclusive(f"Cilium has not given an identity to {workload}: there is none in {path}")
        return int(number)

    async def _server(self) -> Object:
        path = f"/api/v1/namespaces/{variants.SPIRE_SYSTEM}/pods"
        pods, _ = await (await self.platform.api()).items(path, f"app={SERVER}")
        if not pods:
            raise Inconclusive(
                f"SPIRE's server does not run in {variants.SPIRE_SYSTEM}, where Cilium's chart installs it"
            )
        return pods[0]

    async def _entry(self, *arguments: str) -> bytes:
        """What a subcommand of ``spire-server entry`` prints; Inconclusive if it fails."""
        name = (await self._server())["metadata"]["name"]
        executor = await self.platform.executor()
        try:
            return await executor.run(variants.SPIRE_SYSTEM, name, SERVER, (*COMMAND, *arguments))
        except (OSError, ProbeLost) as error:
            raise Inconclusive(f"{SERVER} entry {arguments[0]}: {error}") from error


def created(entry: Object) -> list[str]:
    """The arguments that create an entry, from what ``entry show`` prints about it."""
    selectors = [f"{one['type']}:{one['value']}" for one in entry["selectors"]]
    listed = [part for one in selectors for part in ("-selector", one)]
    return ["-spiffeID", _uri(entry["spiffe_id"]), "-parentID", _uri(entry["parent_id"]), *listed]


def _uri(identity: dict[str, Any]) -> str:
    return f"spiffe://{identity['trust_domain']}{identity['path']}"
