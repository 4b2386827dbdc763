"""Provides the cluster of a run, and removes it at the end."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.options import Settings
from pytest_meshcheck.platforms.cleanup.leftovers import finished
from pytest_meshcheck.platforms.cleanup.namespaces import remove_namespaces
from pytest_meshcheck.platforms.cleanup.run_records import (
    KeptCluster,
    OwnCluster,
    Registration,
    Where,
    reserved,
)
from pytest_meshcheck.platforms.kind import cluster as kind
from pytest_meshcheck.platforms.kind.cluster import Kind
from pytest_meshcheck.platforms.kind.probe_image import Plan
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef, KindRecipe, NamedCluster
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import contexts, located
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Refused
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.run_directory import RunDirectory
from pytest_meshcheck.run.progress import Progress
from pytest_meshcheck.testbed.cluster_access import Access
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.mesh_cluster import MeshCluster

KIND_CONTEXT = "kind-"
KUBECONFIG = "kubeconfig"
MESH_LOCK = "mesh-lock"


@dataclass(eq=False)
class Provision:
    """The cluster of one run, in the process that the user started.

    Attributes:
        settings: The options for the cluster.
        run: The run's id.
        named: The cluster that the user named; None for a kind cluster of the run.
        progress: The progress messages.
        kind_config: The configuration of a kind cluster; None for kind's default.
        plan: The probe image to build; None if a prebuilt one was named, or none is needed.
        meshes: The meshes that need their adapters for a clean-up of a named cluster, as ``NAME[@VERSION]``.
        cluster_ref: The reference to the cluster, once it exists.
    """

    settings: Settings
    run: str
    named: NamedCluster | None
    progress: Progress
    kind_config: Path | None = None
    plan: Plan | None = None
    meshes: tuple[str, ...] = ()
    cluster_ref: ClusterRef | None = None
    _folder: RunDirectory = field(default_factory=RunDirectory)
    _registration: Registration | None = None
    _kind: Kind | None = None

    def acquire(self) -> ClusterRef:
        """Create the cluster or connect to the existing one, and load images on its nodes.

        Raises:
            Inconclusive: The cluster cannot be created or reached.
            MeshUnavailable: The probe image cannot be provided.
        """
        self.cluster_ref = self._attach_to_existing(self.named) if self.named else self._attach_to_kind()
        return self.cluster_ref

    def release(self, adapters: Iterable[Mesh], *, failed: bool) -> None:
        """Remove everything that is not to be kept.

        Args:
            adapters: The meshes that the run may have installed or changed.
            failed: Whether a test has failed.
        """
        try:
            if self._is_left_clean(adapters, failed=failed):
                self._forget()
        finally:
            self._folder.close()

    def _attach_to_existing(self, named: NamedCluster) -> ClusterRef:
        self._register(named, self.meshes)
        version = asyncio.run(_version(named.path, named.context))
        image = self._image(self._built_image)
        return ClusterRef(
            run=self.run,
            image=self._on_nodes(image, kind_of(named.context), named.path, named.context),
            description=f"context {named.context} (Kubernetes {version})",
            kubeconfig_file=named.kubeconfig,
            context=named.context,
            lock=str(self._folder.path / MESH_LOCK),
        )

    def _attach_to_kind(self) -> ClusterRef:
        settings, configuration, step = self.settings, self.kind_config, self.progress.step
        stays, meshes = settings.mesh_keep == "always", [str(mesh) for mesh in settings.mesh]
        kept = kind.kept_name(settings.mesh_kind_image, configuration, meshes)
        name = kept if stays else f"meshcheck-{self.run}"
        cluster = self._kind = Kind(name, settings.mesh_kind_image, configuration)
        kubeconfig = self._folder.path / KUBECONFIG
        with ThreadPoolExecutor(1) as pool, reserved(name) if stays else nullcontext():
            image_ahead = pool.submit(self._built_image)
            if stays and finished(cluster):
                step(f"kind cluster {name} found", "cluster", lambda: cluster.write_kubeconfig(kubeconfig))
            else:
                step(f"kind cluster {name} created", "cluster", lambda: self._create(cluster, kubeconfig))
            if stays:
                self._register(KeptCluster(name))
            probe = self._image(image_ahead.result)
        return ClusterRef(
            run=self.run,
            image=self._on_nodes(probe, cluster, kubeconfig, cluster.context),
            description=f"kind cluster (Kubernetes {asyncio.run(_version(kubeconfig, cluster.context))})",
            kubeconfig_file=str(kubeconfig),
            context=cluster.context,
            lock=str(self._folder.path / MESH_LOCK),
            kept=stays,
            transient=not stays,
            recipe=KindRecipe(settings.mesh_kind_image, str(configuration or ""), self._to_load(probe)),
        )

    def _image(self, built: Callable[[], str]) -> str:
        """The probe image, built if necessary; empty if no test needs it."""
        return self.progress.step("probe image ready", "probe image", built) if self.plan else built()

    def _built_image(self) -> str:
        return self.plan.image() if self.plan else self.settings.mesh_probe_image or ""

    def _on_nodes(self, image: str, cluster: Kind | None, kubeconfig: Path | None, context: str) -> str:
        """Build the probe image, and load it and the user's images on every node of a kind cluster."""
        if cluster is None:
            return image
        for wanted in self._to_load(image):
            if not asyncio.run(_is_on_nodes(wanted, kubeconfig, context)):
                self.progress.step(f"{wanted} loaded", f"load {wanted}", partial(cluster.load, wanted))
        return image

    def _to_load(self, probe: str) -> tuple[str, ...]:
        """The local images to load onto the nodes of a kind cluster."""
        return (*self.settings.mesh_kind_load, *((probe,) if self.plan else ()))

    def _register(self, where: Where, meshes: tuple[str, ...] = ()) -> None:
        earlier, self._registration = self._registration, Registration.begin(self.run, where, meshes)
        if earlier is not None:
            earlier.end()

    def _create(self, cluster: Kind, kubeconfig: Path) -> None:
        """Create a cluster, under a lock on its name that keeps other runs from creating the same."""
        self._register(OwnCluster(cluster.name))
        try:
            cluster.create(kubeconfig)
        except BaseException:
            if not cluster.exists():
                self._forget()
            raise

    def _forget(self) -> None:
        if self._registration is not None:
            self._registration.end()
            self._registration = None

    def _is_left_clean(self, adapters: Iterable[Mesh], *, failed: bool) -> bool:
        """Remove everything that is not to be kept; returns whether all of it is gone."""
        if self._registration is None:
            return True
        if not isinstance(self._registration.record.where, OwnCluster):
            return self.cluster_ref is None or self._leave_cluster(self.cluster_ref, adapters)
        return self._kind is not None and self._leave_kind(self._kind, failed=failed)

    def _leave_kind(self, cluster: Kind, *, failed: bool) -> bool:
        if self.settings.mesh_keep == "always":
            return False
        if self.settings.mesh_keep == "on-failure" and failed and self.cluster_ref is not None:
            self.progress.say(
                f"kind cluster {cluster.name} is kept: kind export kubeconfig --name={cluster.name}, then "
                f"--mesh-context={cluster.context}; kind delete cluster --name={cluster.name} removes it"
            )
            return True
        if trouble := cluster.delete(self._folder.path / KUBECONFIG):
            self.progress.say(f"{trouble}; `meshcheck clean` tries again")
        return not trouble

    def _leave_cluster(self, cluster_ref: ClusterRef, adapters: Iterable[Mesh]) -> bool:
        left = asyncio.run(remove_namespaces(cluster_ref))
        if left:
            namespaces = ", ".join(left)
            self.progress.say(f"these namespaces are still being deleted: {namespaces}; `meshcheck clean` tries again")
        return (self.named is None or self._are_uninstalled(cluster_ref, adapters)) and not left

    def _are_uninstalled(self, cluster_ref: ClusterRef, adapters: Iterable[Mesh]) -> bool:
        """Uninstall the meshes that the processes of this run installed, and restore others; whether that is done."""
        gone = True
        for adapter in adapters:
            if isinstance(adapter, KubernetesMesh) and (adapter.installed_by_run or self._may_be_changed(adapter)):
                try:
                    asyncio.run(adapter.uninstall_from(cluster_ref))
                except (*UNREACHABLE, Refused, Inconclusive) as trouble:
                    gone = False
                    what = "uninstalled" if adapter.installed_by_run else "restored"
                    self.progress.say(f"{adapter.name} cannot be {what}: {trouble}; `meshcheck clean` tries again")
        return gone

    def _may_be_changed(self, adapter: KubernetesMesh) -> bool:
        """Whether a check that failed, or a process that died, may have left a pre-installed mesh changed."""
        return adapter.may_stay_changed and self.settings.mesh_allow_disruption


def named_cluster(settings: Settings) -> NamedCluster | None:
    """The cluster that the user named, if any, by the context that is the current one now unless one is named.

    Raises:
        MeshUnavailable: The kubeconfig cannot be used, or has no such context.
    """
    if not (settings.mesh_context or settings.mesh_kubeconfig):
        return None
    context = contexts(settings.mesh_kubeconfig).named(settings.mesh_context)
    return NamedCluster(context, str(located(settings.mesh_kubeconfig)))


def kind_of(context: str) -> Kind | None:
    """The kind cluster of a context, if it is one of this machine."""
    name = context.removeprefix(KIND_CONTEXT)
    return Kind(name) if context.startswith(KIND_CONTEXT) and kind.has(name) else None


def cluster_of(subject: MeshUnderTest, scale: float) -> MeshCluster:
    """The cluster of a run for tests that are not checks; ``scale`` is the factor for its time limits."""
    platform = subject.platform
    if not isinstance(platform, Kubernetes):
        raise Inconclusive(f"{subject.adapter.name} runs on {platform}, which is not a cluster")
    kubeconfig, context = platform.cluster_ref.kubeconfig, platform.cluster_ref.context
    return MeshCluster(subject.adapter, Access(kubeconfig, context), platform.owner, kind_of(context), scale)


async def _version(kubeconfig: Path | None, context: str) -> str:
    api = await Api.connect(kubeconfig, context)
    try:
        return await api.version()
    finally:
        await api.close()


async def _is_on_nodes(image: str, kubeconfig: Path | None, context: str) -> bool:
    """Whether every node reports an image; the report may lag behind."""
    api = await Api.connect(kubeconfig, context)
    try:
        nodes, _ = await api.items("/api/v1/nodes")
    finally:
        await api.close()
    return all(any(image in there["names"] for there in node["status"].get("images", [])) for node in nodes)
