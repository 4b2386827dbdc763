"""Has adapters remove what dead runs left: installations without a record, and changes of pre-installed meshes."""

import asyncio
from dataclasses import replace

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.meshes.registry import MeshRequest, NoHooks, Registry, RegistryError
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Refused


def uninstall(mesh: str, cluster_ref: ClusterRef) -> str:
    """Uninstall ``NAME[@VERSION]``, as installed by the run of a cluster reference; returns an error message, if any.

    A mesh that a ``conftest.py`` registers is unknown here: only installed packages are looked into.
    """
    name, _, version = mesh.partition("@")
    try:
        adapter = _adapter(name, version or None)
        if not isinstance(adapter, KubernetesMesh):
            return f"{mesh} is not a KubernetesMesh"
        asyncio.run(adapter.uninstall_from(cluster_ref))
    except RegistryError:
        return f"no installed package provides the mesh {name}: install its adapter, or remove the mesh by hand"
    except (*UNREACHABLE, Refused, Inconclusive, MeshUnavailable) as error:
        return f"{mesh} cannot be uninstalled: {error}"
    return ""


def _adapter(name: str, version: str | None) -> Mesh:
    """The adapter that removes what a run has left; what the cluster has a record of is removed by that record."""
    registry, request = Registry.installed(), MeshRequest(version, 1.0, NoHooks(), installed=True)
    adapter = registry.create(name, request)
    if isinstance(adapter, KubernetesMesh) and adapter.recorded_in_cluster:
        return adapter
    return registry.create(name, replace(request, installed=False))
