"""The cluster of a run: the process that the user started provides it, and xdist workers attach to it."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.doctor.finding import Finding
from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.platforms.cleanup.leftovers import left_by_dead_runs
from pytest_meshcheck.platforms.cleanup.run_records import records_folder
from pytest_meshcheck.platforms.kind import cluster as kind
from pytest_meshcheck.platforms.kind.probe_image import Plan
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef, NamedCluster
from pytest_meshcheck.run.items import mesh_of
from pytest_meshcheck.run.own_tests import needs_probe, refuse_without_client, uses_cluster
from pytest_meshcheck.run.preflight import kind_config, looked_at, refuse_one_place, refuse_unpermitted
from pytest_meshcheck.run.progress import Progress
from pytest_meshcheck.run.provision import Provision, kind_of, named_cluster
from pytest_meshcheck.run.score import RESULT, RunResults
from pytest_meshcheck.testbed.mesh import MeshUnderTest

CLUSTER_REF = "meshcheck_cluster"
"""The key of the cluster in the input of an xdist worker."""

LINES = {
    # step of a mesh under test: message
    "mesh": "{mesh} ready",
    "stage": "stage of {mesh} ready",
    "stand-ins": "stand-ins on {mesh} ready",
    "configuration": "configuration on {mesh} in effect",
}


@dataclass(eq=False)
class Cluster:
    """The hooks that provide the cluster before the first check, and remove it after the last.

    Attributes:
        worker: The id of this xdist worker; empty in other processes.
        named: The cluster that the user named; None for a kind cluster of the run, and in an xdist worker.
    """

    config: pytest.Config
    settings: Settings
    named: NamedCluster | None = None
    worker: str = ""
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    progress: Progress = field(init=False)
    _cluster_ref: ClusterRef | None = None
    _provision: Provision | None = None
    _kind_config: Path | None = None
    _unrecorded: tuple[str, ...] = ()
    _plan: Plan | None = None
    _results: RunResults | None = None
    _no_probe: pytest.UsageError | None = None
    _exit: int = 0
    _findings: tuple[Finding, ...] = ()
    _said: set[tuple[str, str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.progress = Progress(self.config)

    @classmethod
    def of(cls, config: pytest.Config, settings: Settings, adapters: Mapping[MeshName, Mesh]) -> "Cluster":
        """The cluster for these settings and meshes; nothing is created yet.

        Raises:
            MeshUnavailable: It cannot be provided.
        """
        given: dict[str, Any] | None = getattr(config, "workerinput", None)
        if given is not None:
            cluster_ref = msgspec.json.decode(given[CLUSTER_REF], type=ClusterRef)
            if settings.mesh_installed:
                asyncio.run(looked_at(adapters.values(), cluster_ref.kubeconfig, cluster_ref.context))
            return cls(config, settings, worker=given["workerid"], run=cluster_ref.run, _cluster_ref=cluster_ref)
        cluster = cls(config, settings, named_cluster(settings))
        if not config.option.collectonly:
            cluster.look_before(adapters)
        return cluster

    @property
    def cluster_ref(self) -> ClusterRef:
        """The reference to the cluster; Inconclusive before it exists."""
        if self._cluster_ref is None:
            raise Inconclusive("no cluster yet: it is created when checks run")
        return self._cluster_ref

    def report_to(self, results: RunResults) -> None:
        """Pass the platform and the duration of each step to the run's results."""
        self._results = results
        results.steps = self.progress.steps
        results.findings = self._findings
        self._tell_platform(f"context {self.named.context}" if self.named else "a kind cluster")

    def look_before(self, adapters: Mapping[MeshName, Mesh]) -> None:
        """Check that the cluster can be provided, before anything is created; otherwise MeshUnavailable."""
        settings, named = self.settings, self.named
        records_folder()
        if named is None:
            if settings.mesh_installed:
                raise MeshUnavailable("--mesh-installed needs an existing cluster: name it with --mesh-context=NAME")
            self._kind_config = kind_config(settings, adapters)
            refuse_one_place(settings, adapters)
            kind.require()
            return
        on_cluster = {name: mesh for name, mesh in adapters.items() if mesh.runs_on is PlatformKind.KUBERNETES}
        refuse_unpermitted(settings, on_cluster, named)
        refuse_one_place(settings, on_cluster)
        self._unrecorded = tuple(str(name) for name, mesh in on_cluster.items() if _needs_its_adapter(mesh))
        asyncio.run(looked_at(on_cluster.values(), named.path, named.context))
        if settings.mesh_installed:
            self._findings = _examined(named)

    def _plan_probe(self) -> None:
        """Fetch the parts of the probe image to this machine; UsageError if that is impossible."""
        settings = self.settings
        if settings.mesh_probe_image is not None:
            return
        if self.named and kind_of(self.named.context) is None:
            raise pytest.UsageError(
                "an existing cluster pulls the probe image from a registry: name one with --mesh-probe-image=IMAGE "
                "(a locally built image can be loaded only into a kind cluster of this machine)"
            )
        try:
            self._plan = Plan.of(settings.mesh_probe_base, settings.mesh_probe_wheels)
        except MeshUnavailable as error:
            raise pytest.UsageError(str(error)) from error

    def say_ready(self, name: MeshName, subject: MeshUnderTest) -> None:
        """Print the start-up times of a mesh as soon as they are known; for an xdist worker with its first result."""
        if not self.worker:
            self._say(str(name), "", subject.steps)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Print the start-up times of mesh and stage in each xdist worker."""
        if self.worker or not hasattr(report, RESULT):
            return
        mesh, _, steps, *_ = getattr(report, RESULT)
        gateway = getattr(getattr(report, "node", None), "gateway", None)
        self._say(mesh, f" for {gateway.id}" if gateway else "", steps)

    def pytest_sessionstart(self) -> None:
        """With xdist, provide the cluster before it is known which tests run: the workers need it at their start."""
        if not self.worker and self.config.getoption("dist", "no") != "no" and not self.config.option.collectonly:
            try:
                self._plan_probe()
            except pytest.UsageError as error:
                self._no_probe = error
            self._acquire()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Inform the process with the cluster whether tests start workloads of the suite."""
        if self.worker and any(mesh_of(item) and needs_probe(item) for item in session.items):
            self.cluster_ref.probe_wanted.touch()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Refuse workloads without an image, before any test runs."""
        if self._no_probe is not None and self.cluster_ref.probe_wanted.exists():
            raise self._no_probe

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Without xdist, provide the cluster once it is known that there are tests to run."""
        uses = [item for item in session.items if mesh_of(item)]
        wanted = uses and not session.testsfailed and not self.config.option.collectonly
        if self.worker or self._cluster_ref is not None or not wanted:
            return
        if any(map(uses_cluster, uses)):
            refuse_without_client()
        if any(map(needs_probe, uses)):
            self._plan_probe()
        self._acquire()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the reference to the cluster to an xdist worker."""
        node.workerinput[CLUSTER_REF] = msgspec.json.encode(self.cluster_ref).decode()

    def pytest_sessionfinish(self, exitstatus: int | pytest.ExitCode) -> None:
        """Remember the exit status."""
        self._exit = int(exitstatus)

    def pytest_unconfigure(self) -> None:
        """Remove everything that is not to be kept."""
        if self._plan is not None:
            self._plan.close()
        if self._provision is not None:
            failed = self._exit not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
            self._provision.release(self._results.adapters.values() if self._results else (), failed=failed)

    def _acquire(self) -> None:
        if left := left_by_dead_runs():
            self.progress.say(f"left by an earlier run: {', '.join(left)}; remove with `meshcheck clean`")
        self._provision = Provision(
            self.settings, self.run, self.named, self.progress, self._kind_config, self._plan, self._unrecorded
        )
        try:
            self._cluster_ref = self._provision.acquire()
        except (Inconclusive, MeshUnavailable) as trouble:
            pytest.exit(f"meshcheck: {trouble}", returncode=pytest.ExitCode.INTERNAL_ERROR)
        self._tell_platform(self._cluster_ref.description)

    def _say(self, name: str, worker: str, steps: Mapping[str, float]) -> None:
        adapters = {str(one): adapter for one, adapter in self._results.adapters.items()} if self._results else {}
        adapter = adapters.get(name)
        if adapter is None or adapter.runs_on is not PlatformKind.KUBERNETES:
            return
        for step in [one for one in LINES if one in steps]:
            if (name, worker, step) not in self._said:
                self._said.add((name, worker, step))
                what = LINES[step].format(mesh=f"{adapter.name} {adapter.version}")
                self.progress.say(f"{what} in {steps[step]:.1f} s{worker}")

    def _tell_platform(self, where: str) -> None:
        if self._results is not None:
            for name, adapter in self._results.adapters.items():
                if adapter.runs_on is PlatformKind.KUBERNETES:
                    self._results.platforms[name] = where


def _needs_its_adapter(mesh: Mesh) -> bool:
    if not isinstance(mesh, KubernetesMesh):
        return False
    return not mesh.recorded_in_cluster if mesh.installed_by_run else mesh.may_stay_changed


def _examined(named: NamedCluster) -> tuple[Finding, ...]:
    """What the doctor finds in the cluster; MeshUnavailable if it cannot be reached."""
    from pytest_meshcheck.doctor.look import look  # noqa: PLC0415 - other runs need no rules

    _, findings = asyncio.run(look(named.path, named.context, proxies=True))
    return findings
