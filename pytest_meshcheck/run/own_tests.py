"""The tests of a user, which use the cluster and are no checks: what they lack, and what is kept when one fails."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_meshcheck.meshes.base import Home, Mesh
from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.report.evidence import folder
from pytest_meshcheck.run.items import PLANNED, mesh_of
from pytest_meshcheck.run.loops import CLUSTER, uses_stage
from pytest_meshcheck.run.score import report_directory

if TYPE_CHECKING:
    from pytest_meshcheck.testbed.mesh_cluster import MeshCluster

ARTEFACTS = "tests"
"""The folder beside the report that has a folder for each test that failed."""

NO_CLUSTER = (
    "--mesh={mesh} runs as local processes, there is no cluster: select a mesh on Kubernetes, such as --mesh=istio"
)


@dataclass(eq=False)
class OwnTests:
    """The hooks around tests that use the cluster and are no checks.

    Attributes:
        cluster: The cluster while there is one.
        troubles: What could not be kept, and why.
    """

    settings: Settings
    adapters: Mapping[MeshName, Mesh]
    cluster: "MeshCluster | None" = None
    _artefacts: dict[str, Path] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Say before anything is started for a test why there is no cluster."""
        mesh = mesh_of(item)
        if not uses_cluster(item) or mesh is None:
            return
        if why := self._why_not(mesh):
            pytest.fail(why, pytrace=False)
        if self.settings.mesh_artifacts != "never":
            where = self._artefacts[item.nodeid] = self._folder(item, mesh)
            shutil.rmtree(where, ignore_errors=True)  # of an earlier run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        """Have a namespace that ends with its test know where its logs go, should the test fail."""
        if self.cluster is not None:
            self.cluster.artefacts = self._artefacts.get(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Keep the logs and events of a test that failed, while its namespaces are there."""
        report: pytest.TestReport = yield
        if (where := self._artefacts.get(item.nodeid)) is None or report.when == "teardown":
            return report
        if report.failed or self.settings.mesh_artifacts == "always":
            self._keep(report, where)
        elif report.when == "call":
            shutil.rmtree(where, ignore_errors=True)  # a block that was left by an exception, which the test expected
        return report

    def _keep(self, report: pytest.TestReport, where: Path) -> None:
        if self.cluster is None:
            return
        self.cluster.artefacts = where
        try:
            self.cluster.keep_state()
        except (ClusterError, OSError) as error:
            report.sections.append(("meshcheck artefacts", f"they could not be kept: {error}"))
        if where.is_dir():
            report.sections.append(("meshcheck artefacts", str(where)))

    def _why_not(self, mesh: MeshName) -> str:
        if self.adapters[mesh].runs_on is not Home.KUBERNETES:
            return f"{CLUSTER}: {NO_CLUSTER.format(mesh=mesh)}"
        from pytest_meshcheck.testbed.cluster_access import NO_CLIENT, has_client  # noqa: PLC0415 - as above

        return "" if has_client() else NO_CLIENT

    def _folder(self, item: pytest.Item, mesh: MeshName) -> Path:
        return report_directory(self.settings, self.adapters[mesh]) / ARTEFACTS / folder(item.nodeid)


def uses_cluster(item: pytest.Item) -> bool:
    """Whether a test, and no check, asks for the cluster."""
    return CLUSTER in getattr(item, "fixturenames", ()) and PLANNED not in item.stash


def needs_probe(item: pytest.Item) -> bool:
    """Whether a test may start workloads of the suite, whose image has to be on the nodes then."""
    return uses_stage(item) or not uses_cluster(item)


def refuse_without_client() -> None:
    """UsageError where the client is missing by which tests have the cluster."""
    from pytest_meshcheck.testbed.cluster_access import NO_CLIENT, has_client  # noqa: PLC0415 - no cluster, no client

    if not has_client():
        raise pytest.UsageError(NO_CLIENT)
