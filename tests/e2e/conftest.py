"""A cluster that exists, and what of a run is left in it."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.cleanup.namespaces import NAMESPACES, remove_namespaces
from pytest_meshcheck.platforms.kind import cluster as kind
from pytest_meshcheck.platforms.kind.probe_image import probe_image
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import located
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN

CONTEXT = "MESHCHECK_E2E_CONTEXT"
PROBE_BASE = "MESHCHECK_E2E_PROBE_BASE"


@dataclass(frozen=True)
class Given:
    """The cluster that was named."""

    context: str
    kubeconfig: Path | None
    base: str

    @property
    def options(self) -> list[str]:
        """For a run of the suite on it."""
        config = [f"--mesh-kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [f"--mesh-context={self.context}", f"--mesh-probe-base={self.base}", *config]

    def namespaces(self, run: str = "") -> set[str]:
        """The namespaces in the cluster that bear a run, or this one."""

        async def ask() -> set[str]:
            api = await Api.connect(self.kubeconfig, self.context)
            try:
                items, _ = await api.items(NAMESPACES, f"{RUN}={run}" if run else RUN)
            finally:
                await api.close()
            return {item["metadata"]["name"] for item in items}

        return asyncio.run(ask())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a cluster none of these can be run."""
    if not _context(config):
        reason = f"needs a kind cluster: name its context with --mesh-context or in {CONTEXT}"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def given(pytestconfig: pytest.Config) -> Given:
    """The cluster that was named."""
    file = pytestconfig.getoption("mesh_kubeconfig")
    base = pytestconfig.getoption("mesh_probe_base") or os.environ.get(PROBE_BASE, "python:3.11-slim")
    return Given(_context(pytestconfig), Path(file).absolute() if file else None, base)


@pytest.fixture(scope="session")
def image(given: Given) -> str:
    """The probe image, on every node."""
    image = probe_image(given.base)
    kind.Kind(given.context.removeprefix("kind-")).load(image)
    return image


@pytest.fixture(scope="session")
def cluster_ref(given: Given, image: str) -> Iterator[ClusterRef]:
    """A run of its own, of which nothing is left."""
    run = f"e2e{secrets.token_hex(3)}"
    cluster_ref = ClusterRef(run, image, "a cluster", str(located(given.kubeconfig)), given.context)
    yield cluster_ref
    assert asyncio.run(remove_namespaces(cluster_ref)) == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(cluster_ref: ClusterRef) -> AsyncIterator[Kubernetes]:
    """The platform, with nothing on it yet."""
    platform = Kubernetes(Journal(), cluster_ref)
    yield platform
    await platform.close()


def _context(config: pytest.Config) -> str:
    return config.getoption("mesh_context") or os.environ.get(CONTEXT, "")
