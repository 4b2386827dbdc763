"""Tests of a user that use the cluster but are not checks: their prerequisites, and evidence of failures."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.report.evidence import folder
from pytest_meshcheck.run.items import CHECK_ITEM, mesh_of
from pytest_meshcheck.run.loops import CLUSTER, uses_stage
from pytest_meshcheck.run.score import report_directory

if TYPE_CHECKING:
    from pytest_meshcheck.testbed.mesh_cluster import MeshCluster

ARTEFACTS = "tests"
"""The folder next to the report with a folder for each failed test."""

NO_CLUSTER = (
    "--mesh={mesh} runs as local processes, without a cluster: select a mesh on Kubernetes, such as --mesh=istio"
)


@dataclass(eq=False)
class OwnTests:
    """The hooks around tests that use the cluster but are not checks.

    Attributes:
        cluster: The cluster while it exists.
        troubles: The errors while keeping evidence.
    """

    settings: Settings
    adapters: Mapping[MeshName, Mesh]
    cluster: "MeshCluster | None" = None
    _artefacts: dict[str, Path] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail a test without a cluster before its fixtures start."""
        mesh = mesh_of(item)
        if not uses_cluster(item) or mesh is None:
            return
        if why := self._why_not(mesh):
            pytest.fail(why, pytrace=False)
        if self.settings.mesh_artifacts != "never":
            where = self._artefacts[item.nodeid] = self._folder(item, mesh)
            shutil.rmtree(where, ignore_errors=True)  # from an earlier run

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        """Set the folder for the logs of namespaces that are deleted within the test, in case it fails."""
        if self.cluster is not None:
            self.cluster.artefacts = self._artefacts.get(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Keep the logs and events of a failed test while its namespaces exist."""
        report: pytest.TestReport = yield
        if (where := self._artefacts.get(item.nodeid)) is None or report.when == "teardown":
            return report
        if report.failed or self.settings.mesh_artifacts == "always":
            self._keep(report, where)
        elif report.when == "call":
            shutil.rmtree(where, ignore_errors=True)  # the test expected the exception that ended the block
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
        if self.adapters[mesh].runs_on is not PlatformKind.KUBERNETES:
            return f"{CLUSTER}: {NO_CLUSTER.format(mesh=mesh)}"
        from pytest_meshcheck.testbed.cluster_access import NO_CLIENT, has_client  # noqa: PLC0415 - as above

        return "" if has_client() else NO_CLIENT

    def _folder(self, item: pytest.Item, mesh: MeshName) -> Path:
        return report_directory(self.settings, self.adapters[mesh]) / ARTEFACTS / folder(item.nodeid)


def uses_cluster(item: pytest.Item) -> bool:
    """Whether a test that is not a check uses the cluster."""
    return CLUSTER in getattr(item, "fixturenames", ()) and CHECK_ITEM not in item.stash


def needs_probe(item: pytest.Item) -> bool:
    """Whether a test may start workloads of the suite, which need the probe image on the nodes."""
    return uses_stage(item) or not uses_cluster(item)


def refuse_without_client() -> None:
    """UsageError if the client library of ``mesh_cluster`` is missing."""
    from pytest_meshcheck.testbed.cluster_access import NO_CLIENT, has_client  # noqa: PLC0415 - no cluster, no client

    if not has_client():
        raise pytest.UsageError(NO_CLIENT)
