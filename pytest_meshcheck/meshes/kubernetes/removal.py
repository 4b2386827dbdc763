"""Uninstalls meshes of dead runs through their adapters: those that the cluster itself has no record of."""

import asyncio

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
        adapter = Registry.installed().create(name, MeshRequest(version or None, 1.0, NoHooks()))
        if not isinstance(adapter, KubernetesMesh):
            return f"{mesh} is not a KubernetesMesh"
        asyncio.run(adapter.uninstall_from(cluster_ref))
    except RegistryError:
        return f"no installed package provides the mesh {name}: install its adapter, or remove the mesh by hand"
    except (*UNREACHABLE, Refused, Inconclusive, MeshUnavailable) as error:
        return f"{mesh} cannot be uninstalled: {error}"
    return ""
