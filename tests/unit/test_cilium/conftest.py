"""Adapters that nothing is installed with."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.registry import Factory, MeshRequest


class NoHooks:
    """Nobody plants anything."""

    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
        raise AssertionError(workload)


Judged = Callable[[Factory], CiliumMesh]


@pytest.fixture
def judged() -> Judged:
    """Makes an adapter for a Cilium that somebody else installed, which asks for no helm and no charts."""

    def make(factory: Factory) -> CiliumMesh:
        mesh = factory(MeshRequest(None, 1.0, NoHooks(), installed=True))
        assert isinstance(mesh, CiliumMesh)
        return mesh

    return make
