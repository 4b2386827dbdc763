"""A mesh plugin (``-p``): Cilium with SPIRE, whose network policies do not ask for authentication."""

from collections.abc import Sequence

from pytest_meshcheck.meshes.cilium.spire import CiliumSpireMesh
from pytest_meshcheck.meshes.registry import MeshRequest, Registry
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.platforms.base import Manifest

NAME = "cilium-unauthenticated"


class Unauthenticated(CiliumSpireMesh):
    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        manifests = super().render(policies)
        for rule in (rule for one in manifests for rule in one["spec"].get("ingress", ())):
            rule.pop("authentication", None)
        return manifests


def adapter(request: MeshRequest) -> Unauthenticated:
    mesh = Unauthenticated(request)
    mesh.name = NAME
    return mesh


def pytest_meshcheck_register_mesh(registry: Registry) -> None:
    registry.register(NAME, adapter)
