"""The cluster of a run: had by the process that the user started, attached to by every process that runs checks."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from kubernetes_asyncio.client import ApiException

from pytest_meshcheck.judge.subject import MeshUnderTest
from pytest_meshcheck.meshes.base import Home, Mesh, home_of
from pytest_meshcheck.meshes.helm_mesh import HelmMesh
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.platforms import kind
from pytest_meshcheck.platforms.kind import Kind
from pytest_meshcheck.platforms.kubernetes.api import UNREACHABLE, Api, contexts
from pytest_meshcheck.platforms.kubernetes.attachment import Attachment
from pytest_meshcheck.platforms.kubernetes.images import probe_image
from pytest_meshcheck.platforms.kubernetes.leftovers import remove_namespaces
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.leftovers import finished, left_by_dead_runs
from pytest_meshcheck.platforms.registration import (
    KeptCluster,
    NamedCluster,
    OwnCluster,
    Registration,
    Where,
    records_folder,
    reserved,
)
from pytest_meshcheck.platforms.run_directory import RunDirectory
from pytest_meshcheck.preflight import kind_config, looked_at, refuse_one_place, refuse_unpermitted
from pytest_meshcheck.scorekeeper import ScoreKeeper
from pytest_meshcheck.stage.faults import Inconclusive, MeshUnavailable
from pytest_meshcheck.stage.journal import Journal

ATTACHMENT = "meshcheck_cluster"
"""Where a worker of xdist finds its cluster."""

KIND_CONTEXT = "kind-"
KUBECONFIG = "kubeconfig"
TURNS = "turns"

R = TypeVar("R")


@dataclass(eq=False)
class Cluster:
    """The hooks that have a cluster ready before the first check, and gone after the last.

    Attributes:
        worker: The worker of xdist that this process is; empty where it is none.
    """

    config: pytest.Config
    settings: Settings
    worker: str = ""
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    steps: dict[str, float] = field(default_factory=dict)
    _attachment: Attachment | None = None
    _folder: RunDirectory | None = None
    _registration: Registration | None = None
    _kind: Kind | None = None
    _kind_config: Path | None = None
    _scores: ScoreKeeper | None = None
    _exit: int = 0

    @classmethod
    def of(cls, config: pytest.Config, settings: Settings, adapters: Mapping[MeshName, Mesh]) -> "Cluster":
        """The cluster that the settings ask for, for these meshes; nothing is created yet.

        Raises:
            MeshUnavailable: It cannot be had.
        """
        given: dict[str, Any] | None = getattr(config, "workerinput", None)
        if given is not None:
            attachment = msgspec.json.decode(given[ATTACHMENT], type=Attachment)
            if settings.mesh_installed:
                asyncio.run(looked_at(adapters.values(), settings))
            return cls(config, settings, worker=given["workerid"], run=attachment.run, _attachment=attachment)
        cluster = cls(config, settings)
        if not config.option.collectonly:
            cluster.look_before(adapters)
        return cluster

    @property
    def attachment(self) -> Attachment:
        """How to get to the cluster; Inconclusive where there is none."""
        if self._attachment is None:
            raise Inconclusive("there is no cluster yet: it is made when checks are run")
        return self._attachment

    @property
    def existing(self) -> bool:
        """Whether the user named a cluster."""
        return bool(self.settings.mesh_context or self.settings.mesh_kubeconfig)

    @property
    def folder(self) -> Path:
        """A folder of this run's own."""
        if self._folder is None:
            self._folder = RunDirectory()
        return self._folder.path

    def keep_score(self, scores: ScoreKeeper) -> None:
        """Tell the score keeper where the checks run, and how long each step takes."""
        self._scores = scores
        scores.steps = self.steps
        where = f"context {self._context_of_user}" if self.existing else "a kind cluster"
        self._tell_platform(where)

    def look_before(self, adapters: Mapping[MeshName, Mesh]) -> None:
        """Find out whether the cluster can be had, before anything is created; MeshUnavailable says why not."""
        settings = self.settings
        records_folder()
        if not self.existing:
            if settings.mesh_installed:
                raise MeshUnavailable("--mesh-installed is about a cluster that exists: name it with --mesh-context")
            self._kind_config = kind_config(settings, adapters)
            refuse_one_place(settings, adapters)
            kind.require()
            return
        on_cluster = {name: mesh for name, mesh in adapters.items() if home_of(mesh) is Home.KUBERNETES}
        refuse_unpermitted(settings, on_cluster, self._context_of_user)
        refuse_one_place(settings, on_cluster)
        asyncio.run(looked_at(on_cluster.values(), settings))
        if settings.mesh_probe_image is None and self._kind_of_context() is None:
            raise MeshUnavailable(
                "a cluster that exists pulls the probe image from a registry: name one with --mesh-probe-image "
                "(only into kind clusters of this machine an image can be loaded that is built here)"
            )

    def say_ready(self, subject: MeshUnderTest) -> None:
        """Say how long a mesh took; a worker of xdist has nobody to say it to."""
        if not self.worker and "mesh" in subject.steps and home_of(subject.adapter) is Home.KUBERNETES:
            self._say(f"{subject.adapter.name} {subject.adapter.version} ready in {subject.steps['mesh']:.1f} s")

    def pytest_sessionstart(self) -> None:
        """With xdist the workers need the cluster as soon as they begin."""
        if not self.worker and self.config.getoption("dist", "no") != "no" and not self.config.option.collectonly:
            self._have()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Without xdist it is made once it is known that there is something to run."""
        wanted = session.items and not session.testsfailed and not self.config.option.collectonly
        if not self.worker and self._attachment is None and wanted:
            self._have()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where the cluster is."""
        node.workerinput[ATTACHMENT] = msgspec.json.encode(self.attachment).decode()

    def pytest_sessionfinish(self, exitstatus: int | pytest.ExitCode) -> None:
        """Remember how it ended."""
        self._exit = int(exitstatus)

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind but what is to be kept."""
        if self.worker:
            return
        try:
            if self._is_left_clean():
                self._forget()
        finally:
            if self._folder is not None:
                self._folder.close()

    def _have(self) -> None:
        if left := left_by_dead_runs():
            self._say(f"left by an earlier run: {', '.join(left)}; remove with `meshcheck clean`")
        try:
            self._attachment = self._attach_to_existing() if self.existing else self._attach_to_kind()
        except (Inconclusive, MeshUnavailable) as trouble:
            pytest.exit(f"meshcheck: {trouble}", returncode=pytest.ExitCode.INTERNAL_ERROR)
        self._tell_platform(self._attachment.description)

    def _attach_to_existing(self) -> Attachment:
        settings = self.settings
        kubeconfig_file = str(settings.mesh_kubeconfig.absolute()) if settings.mesh_kubeconfig else ""
        self._register(NamedCluster(self._context_of_user, kubeconfig_file or os.environ.get("KUBECONFIG", "")))
        version = asyncio.run(_version(settings.mesh_kubeconfig, settings.mesh_context))
        image = self._step("probe image ready", "probe image", self._built_image)
        return Attachment(
            run=self.run,
            image=self._on_nodes(image, self._kind_of_context(), settings.mesh_kubeconfig, settings.mesh_context),
            description=f"context {self._context_of_user} (Kubernetes {version})",
            kubeconfig_file=kubeconfig_file,
            context=settings.mesh_context,
            turns=str(self.folder / TURNS),
        )

    def _attach_to_kind(self) -> Attachment:
        settings = self.settings
        stays = settings.mesh_keep == "always"
        image, configuration = settings.mesh_kind_image, self._kind_config
        meshes = [str(mesh) for mesh in settings.mesh]
        name = kind.kept_name(image, configuration, meshes) if stays else f"meshcheck-{self.run}"
        cluster = self._kind = Kind(name, image, configuration)
        kubeconfig = self.folder / KUBECONFIG
        with ThreadPoolExecutor(1) as pool, reserved(name) if stays else nullcontext():
            image_ahead = pool.submit(self._built_image)
            if stays and finished(cluster):
                self._step(f"kind cluster {name} found", "cluster", lambda: cluster.write_kubeconfig(kubeconfig))
            else:
                self._step(f"kind cluster {name} created", "cluster", lambda: self._create(cluster, kubeconfig))
            if stays:
                self._register(KeptCluster(name))
            probe = self._step("probe image ready", "probe image", image_ahead.result)
        return Attachment(
            run=self.run,
            image=self._on_nodes(probe, cluster, kubeconfig, cluster.context),
            description=f"kind cluster (Kubernetes {asyncio.run(_version(kubeconfig, cluster.context))})",
            kubeconfig_file=str(kubeconfig),
            context=cluster.context,
            turns=str(self.folder / TURNS),
            kept=stays,
            transient=not stays,
        )

    def _built_image(self) -> str:
        return self.settings.mesh_probe_image or probe_image(self.settings.mesh_probe_base)

    def _on_nodes(self, image: str, cluster: Kind | None, kubeconfig: Path | None, context: str | None) -> str:
        """The probe image, and on every node of a kind cluster what of this machine it is to have."""
        if cluster is None:
            return image
        built = () if self.settings.mesh_probe_image else (image,)
        for wanted in (*self.settings.mesh_kind_load, *built):
            if not asyncio.run(_is_on_nodes(wanted, kubeconfig, context)):
                self._step(f"{wanted} loaded", f"load {wanted}", partial(cluster.load, wanted))
        return image

    def _register(self, where: Where) -> None:
        earlier, self._registration = self._registration, Registration.begin(self.run, where)
        if earlier is not None:
            earlier.end()

    def _create(self, cluster: Kind, kubeconfig: Path) -> None:
        """Create a cluster; while no other run can have one of that name, find out whether nothing is left of it."""
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

    def _is_left_clean(self) -> bool:
        """Remove what is not to be kept; whether all of it is gone."""
        if self._registration is None:
            return True
        if not isinstance(self._registration.record.where, OwnCluster):
            return self._attachment is None or self._leave_cluster(self._attachment)
        return self._kind is not None and self.settings.mesh_keep != "always" and self._leave_kind(self._kind)

    def _leave_kind(self, cluster: Kind) -> bool:
        failed = self._exit not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self.settings.mesh_keep == "on-failure" and failed and self._attachment is not None:
            self._say(
                f"kind cluster {cluster.name} is kept: kind export kubeconfig --name {cluster.name}, then "
                f"--mesh-context={cluster.context}; kind delete cluster --name {cluster.name} removes it"
            )
            return True
        if trouble := cluster.delete(self.folder / KUBECONFIG):
            self._say(f"{trouble}; `meshcheck clean` tries again")
        return not trouble

    def _leave_cluster(self, attachment: Attachment) -> bool:
        left = asyncio.run(remove_namespaces(attachment))
        if self.existing:
            self._uninstall(attachment)
        if left:
            self._say(f"these namespaces are still being deleted: {', '.join(left)}; `meshcheck clean` tries again")
        return not left

    def _uninstall(self, attachment: Attachment) -> None:
        """Remove the meshes that the processes of this run installed."""
        for adapter in self._scores.adapters.values() if self._scores else ():
            if isinstance(adapter, HelmMesh):
                try:
                    asyncio.run(_uninstalled(adapter, attachment))
                except (*UNREACHABLE, ApiException, Inconclusive) as trouble:
                    self._say(f"{adapter.name} could not be uninstalled: {trouble}")

    def _kind_of_context(self) -> Kind | None:
        """The kind cluster of this machine that the user's context leads to."""
        context = self._context_of_user
        name = context.removeprefix(KIND_CONTEXT)
        return Kind(name) if context.startswith(KIND_CONTEXT) and kind.has(name) else None

    @property
    def _context_of_user(self) -> str:
        return self.settings.mesh_context or next(iter(contexts(self.settings.mesh_kubeconfig)), "")

    def _step(self, done: str, name: str, work: Callable[[], R]) -> R:
        begun = time.monotonic()
        result = work()
        self.steps[name] = time.monotonic() - begun
        self._say(f"{done} in {self.steps[name]:.1f} s")
        return result

    def _say(self, text: str) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if terminal is None:
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():  # a mesh is ready within a fixture
            terminal.ensure_newline()
            terminal.write_line(f"meshcheck: {text}")

    def _tell_platform(self, where: str) -> None:
        if self._scores is not None:
            for name, adapter in self._scores.adapters.items():
                if home_of(adapter) is Home.KUBERNETES:
                    self._scores.platforms[name] = where


async def _uninstalled(adapter: HelmMesh, attachment: Attachment) -> None:
    platform = Kubernetes(Journal(), attachment)
    adapter.bind(platform)
    try:
        await adapter.uninstall()
    finally:
        await platform.close()


async def _version(kubeconfig: Path | None, context: str | None) -> str:
    api = await Api.connect(kubeconfig, context)
    try:
        return await api.version()
    finally:
        await api.close()


async def _is_on_nodes(image: str, kubeconfig: Path | None, context: str | None) -> bool:
    """Whether every node says that it has an image; one that came just now may not be told of yet."""
    api = await Api.connect(kubeconfig, context)
    try:
        nodes, _ = await api.items("/api/v1/nodes")
    finally:
        await api.close()
    return all(any(image in there["names"] for there in node["status"].get("images", [])) for node in nodes)
