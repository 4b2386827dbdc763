"""A second kind cluster for one check, for operations that would disturb other checks in the cluster of the run."""

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
STABLE_WITHIN = 120.0
"""The time limit in seconds for a new cluster to become stable."""

UNCHANGED_FOR = 10.0
"""Seconds without a change after which a cluster counts as stable."""


@dataclass(frozen=True)
class SpareCluster:
    """A kind cluster created like that of the run, without the mesh.

    Attributes:
        mesh: A copy of the mesh of the run, to be installed here; deploys workloads in this cluster.
    """

    mesh: MeshUnderTest
    _platform: Kubernetes

    async def inventory(self) -> Inventory:
        """All resources, and the network configuration and files of the nodes.

        Raises:
            Inconclusive: They cannot be listed in time.
        """
        return await inventory(await self._platform.api())

    async def stable_inventory(self) -> Inventory:
        """The inventory once it has stopped changing; Inconclusive if it does not in time."""
        within, seen = STABLE_WITHIN * self.mesh.scale, await self.inventory()
        end = time.monotonic() + within
        while time.monotonic() < end:
            await asyncio.sleep(UNCHANGED_FOR)
            before, seen = seen, await self.inventory()
            if seen == before:
                return seen
        raise Inconclusive(f"the inventory of the spare cluster still changes after {within:.0f} s")

    async def install(self) -> None:
        """Install the mesh; raises what its adapter raises."""
        with self.mesh.journal.action("mesh", "installed in a spare cluster"):
            await self.mesh.adapter.install(self._platform)

    async def uninstall(self) -> None:
        """Delete the workloads, then uninstall the mesh as documented.

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
        raise Unsupported(
            "a second kind cluster is created only in runs that create the first: leave out --mesh-context"
        )
    async with kind_cluster(recipe, platform.cluster_ref.image, mesh.journal) as cluster_ref:
        other = Kubernetes(mesh.journal, cluster_ref, timeout_scale=mesh.scale)
        copy = MeshUnderTest(mesh.adapter.clone(), other, mesh.scale, lock=mesh.lock)
        try:
            yield SpareCluster(copy, other)
        finally:
            await copy.close()


@asynccontextmanager
async def kind_cluster(recipe: KindRecipe, image: str, journal: Journal) -> AsyncIterator[ClusterRef]:
    """A kind cluster with its own run id and run record, deleted when the block ends."""
    run = secrets.token_hex(3)
    cluster = Kind(f"{OURS}{run}", recipe.node_image, Path(recipe.config) if recipe.config else None)
    with closing(RunDirectory()) as folder:
        kubeconfig = folder.path / KUBECONFIG
        registration = Registration.begin(run, OwnCluster(cluster.name))
        try:
            with journal.action("cluster", "spare cluster created"):
                await _undisturbed(cluster.create, kubeconfig)
                for loaded in recipe.loaded:
                    await _undisturbed(cluster.load, loaded)
            yield ClusterRef(run, image, "spare kind cluster", str(kubeconfig), cluster.context, transient=True)
        finally:
            if trouble := await _undisturbed(cluster.delete, kubeconfig):
                raise Inconclusive(f"{trouble}; `meshcheck clean` tries again")
            registration.end()


async def _undisturbed(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking work in a thread, and wait for it even when cancelled: threads cannot be cancelled."""
    done = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise
