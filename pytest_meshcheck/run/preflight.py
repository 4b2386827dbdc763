"""Checks before anything is created in a cluster; each reports an obstacle in one line."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.platforms.kind import cluster as kind
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import NamedCluster
from pytest_meshcheck.platforms.kubernetes.access.permissions import IMAGE_LOAD, PLATFORM
from pytest_meshcheck.platforms.kubernetes.access.review import lacking
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Refused


def refuse_unpermitted(settings: Settings, adapters: Mapping[MeshName, Mesh], named: NamedCluster) -> None:
    """MeshUnavailable if the user lacks permissions that the run needs in the cluster."""
    own = PLATFORM if settings.mesh_probe_image else PLATFORM + IMAGE_LOAD
    permissions = (*own, *(one for mesh in adapters.values() for one in mesh.permissions))
    if not_allowed := asyncio.run(lacking(named.path, named.context, permissions)):
        meshes = "".join(f" --mesh={name.name}" for name, mesh in adapters.items() if mesh.permissions)
        raise MeshUnavailable(
            f"context {named.context} may not {', '.join(not_allowed)}: apply the output of "
            f"`meshcheck rbac{meshes}` and bind the role, or ask the administrator of the cluster"
        )


def kind_config(settings: Settings, adapters: Mapping[MeshName, Mesh]) -> Path | None:
    """The user's configuration, or the one that the meshes need."""
    needed = {name: mesh.kind_config for name, mesh in adapters.items() if mesh.runs_on is PlatformKind.KUBERNETES}
    if settings.mesh_kind_config or not any(needed.values()):
        return settings.mesh_kind_config
    if len(set(needed.values())) > 1:
        meshes = ", ".join(f"--mesh={name}" for name in needed)
        raise MeshUnavailable(f"{meshes} need kind clusters of their own: run them one after the other")
    return kind.shipped(next(iter(needed.values())))


def refuse_one_place(settings: Settings, adapters: Mapping[MeshName, Mesh]) -> None:
    """Refuse two meshes in one namespace; in an upgrade run they are one mesh under two names."""
    if settings.mesh_upgrade_to is not None:
        return
    places: dict[str, MeshName] = {}
    for name, adapter in adapters.items():
        if isinstance(adapter, KubernetesMesh) and (other := places.setdefault(adapter.namespace, name)) != name:
            raise MeshUnavailable(
                f"--mesh={other} and --mesh={name} are both installed in {adapter.namespace}: run one after the other"
            )


async def looked_at(adapters: Iterable[Mesh], kubeconfig: Path | None, context: str) -> None:
    """Have the adapters detect the installed mesh, or check that none is in the way.

    Raises:
        MeshUnavailable: Another mesh is installed, one is in the way, or the cluster does not say.
    """
    api = await Api.connect(kubeconfig, context)
    try:
        for adapter in adapters:
            if isinstance(adapter, KubernetesMesh):
                await _look(adapter, api, context)
    finally:
        await api.close()


async def _look(adapter: KubernetesMesh, api: Api, context: str) -> None:
    try:
        await adapter.look(api)
    except (*UNREACHABLE, Refused, Inconclusive) as error:
        why = str(error) or type(error).__name__
        raise MeshUnavailable(
            f"cannot tell whether {adapter.name} is installed in context {context}: {why}; check that its API server "
            f"works, and that you may read this (for a pre-installed mesh apply `meshcheck rbac --mesh={adapter.name}`)"
        ) from error
