"""A mesh plugin (``-p``) that leaves a ClusterRole, a ConfigMap and a file on each node behind when uninstalled."""

from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.none import NoMesh
from pytest_meshcheck.meshes.registry import MeshRequest, Registry
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.platforms.containers import provider, run
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes

NAME = "left-behind"
LEFT: tuple[dict[str, Any], ...] = (
    {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": []},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "default"}, "data": {}},
)
FILE = f"/etc/cni/net.d/00-{NAME}.disabled"


@dataclass
class LeftBehind(NoMesh):
    name: str = NAME

    async def install(self, platform: Platform) -> None:
        assert isinstance(platform, Kubernetes)
        api = await platform.api()
        for resource in LEFT:
            await api.apply(resource)
        for node in (await api.items("/api/v1/nodes"))[0]:
            assert not run((provider(), "exec", node["metadata"]["name"], "touch", FILE)).returncode


def adapter(_request: MeshRequest) -> LeftBehind:
    return LeftBehind()


def pytest_meshcheck_register_mesh(registry: Registry) -> None:
    registry.register(NAME, adapter)
