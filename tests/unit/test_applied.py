"""Replaced policies are deleted, even if the API server rejects the new ones or a deletion fails."""

from collections.abc import Sequence

import pytest

from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.policy import Mode, MutualTls, Retry, RetryBudget
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.testbed.convergence.applied import AppliedPolicies
from tests.unit.rendering import SERVER

pytestmark = pytest.mark.asyncio
BUDGET = (Retry(SERVER, 1, frozenset({503})), RetryBudget(SERVER))


class Cluster:
    """Keeps the kinds of resources that it has; it rejects some, and fails a number of deletions."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.rejected = ""
        self.failing = 0

    async def apply(self, manifests: Sequence[Manifest]) -> None:
        if self.rejected in {one["kind"] for one in manifests}:
            raise Inconclusive(f"the API server rejects {self.rejected}")
        self.kinds |= {one["kind"] for one in manifests}

    async def delete(self, manifests: Sequence[Manifest]) -> None:
        if self.failing:
            self.failing -= 1
            raise Inconclusive("the API server cannot be reached")
        self.kinds -= {one["kind"] for one in manifests}


def applied_to(cluster: Cluster) -> AppliedPolicies:
    mesh = IstioMesh(MeshRequest(None, 1.0, None, installed=True))  # type: ignore[arg-type]
    return AppliedPolicies(mesh, cluster)  # type: ignore[arg-type]


async def test_what_a_rejected_policy_replaces_is_deleted() -> None:
    cluster = Cluster()
    applied = applied_to(cluster)
    await applied.replace(BUDGET)
    assert cluster.kinds == {"VirtualService", "DestinationRule"}
    cluster.rejected = "PeerAuthentication"
    with pytest.raises(Inconclusive, match="rejects PeerAuthentication"):
        await applied.replace([MutualTls(SERVER, Mode.STRICT)])
    assert cluster.kinds == set()


async def test_what_could_not_be_deleted_is_deleted_later() -> None:
    cluster = Cluster()
    applied = applied_to(cluster)
    await applied.replace(BUDGET)
    cluster.failing = 1
    with pytest.raises(Inconclusive, match="cannot be reached"):
        await applied.replace([])
    await applied.replace([])
    assert cluster.kinds == set()
