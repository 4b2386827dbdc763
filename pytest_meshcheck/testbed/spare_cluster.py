"""A second kind cluster for one check: for what would disturb the other checks in the cluster of the run."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.cleanup.namespaces import remove_namespaces
from pytest_meshcheck.platforms.cleanup.run_records import OwnCluster, Registration
from pytest_meshcheck.platforms.kind.cluster import OURS, Kind
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef, KindRecipe
from pytest_meshcheck.platforms.kubernetes.inventory import Inventory, inventory
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.run_directory import RunDirectory
from pytest_meshcheck.testbed.mesh import MeshUnderTest

P = ParamSpec("P")
T = TypeVar("T")

KUBECONFIG = "kubeconfig"
AT_REST_WITHIN = 120.0
"""Seconds until Kubernetes itself creates nothing more in a new cluster."""

AT_REST_FOR = 10.0
"""Seconds without a change after which that is so."""


@dataclass(frozen=True)
class SpareCluster:
    """A kind cluster made as that of the run, at first without the mesh.

    Attributes:
        mesh: The mesh of the run for this cluster; its workloads run here.
    """

    mesh: MeshUnderTest
    _platform: Kubernetes

    async def inventory(self) -> Inventory:
        """The names of all its resources, and of what is set up on its nodes.

        Raises:
            Inconclusive: A node does not say what is set up on it.
        """
        return await inventory(await self._platform.api())

    async def at_rest(self) -> Inventory:
        """The inventory once Kubernetes adds nothing more; Inconclusive if it goes on."""
        within, seen = AT_REST_WITHIN * self.mesh.scale, await self.inventory()
        end = time.monotonic() + within
        while time.monotonic() < end:
            await asyncio.sleep(AT_REST_FOR)
            before, seen = seen, await self.inventory()
            if seen == before:
                return seen
        raise Inconclusive(f"the spare cluster still changes {within:.0f} s after its creation")

    async def install(self) -> None:
        """Install the mesh; raises what its adapter raises."""
        with self.mesh.journal.action("mesh", "installed in a spare cluster"):
            await self.mesh.adapter.install(self._platform)

    async def uninstall(self) -> None:
        """Remove the workloads, then the mesh as its documentation says.

        Raises:
            Inconclusive: Something cannot be removed.
        """
        with self.mesh.journal.action("mesh", "uninstalled from a spare cluster"):
            if left := await remove_namespaces(self._platform.cluster_ref):
                raise Inconclusive(f"namespaces of workloads are not gone: {', '.join(left)}")
            await self.mesh.adapter.uninstall()


@asynccontextmanager
async def spare_cluster(mesh: MeshUnderTest) -> AsyncIterator[SpareCluster]:
    """A spare cluster while the block runs.

    Raises:
        Unsupported: The cluster of the run is not a kind cluster of the suite.
        Inconclusive: The cluster cannot be created or removed.
    """
    platform = mesh.platform
    recipe = platform.cluster_ref.recipe if isinstance(platform, Kubernetes) else None
    if not isinstance(platform, Kubernetes) or recipe is None:
        raise Unsupported("a second cluster is made only in runs that make the first: leave out --mesh-context")
    async with kind_cluster(recipe, platform.cluster_ref.image, mesh.journal) as cluster_ref:
        other = Kubernetes(mesh.journal, cluster_ref, timeout_scale=mesh.scale)
        twin = MeshUnderTest(mesh.adapter.elsewhere(), other, mesh.scale, lock=mesh.lock)
        try:
            yield SpareCluster(twin, other)
        finally:
            await twin.close()


@asynccontextmanager
async def kind_cluster(recipe: KindRecipe, image: str, journal: Journal) -> AsyncIterator[ClusterRef]:
    """Another kind cluster with a run id of its own, recorded before it is made, as that of a run is."""
    run = secrets.token_hex(3)
    cluster = Kind(f"{OURS}{run}", recipe.node_image, Path(recipe.config) if recipe.config else None)
    with closing(RunDirectory()) as folder:
        kubeconfig = folder.path / KUBECONFIG
        registration = Registration.begin(run, OwnCluster(cluster.name))
        try:
            with journal.action("cluster", "spare cluster created"):
                await _undisturbed(cluster.create, kubeconfig)
                for each in recipe.loaded:
                    await _undisturbed(cluster.load, each)
            yield ClusterRef(run, image, "spare kind cluster", str(kubeconfig), cluster.context, transient=True)
        finally:
            if trouble := await _undisturbed(cluster.delete, kubeconfig):
                raise Inconclusive(f"{trouble}; `meshcheck clean` tries again")
            registration.end()


async def _undisturbed(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread, and wait for its end even where that is cancelled: a thread cannot be."""
    done = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise
