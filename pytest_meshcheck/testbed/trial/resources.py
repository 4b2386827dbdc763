"""The objects of a trial in a cluster: refused before anything is made, or applied as they are written."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_meshcheck.manifests.objects import KubernetesObject, Place
from pytest_meshcheck.manifests.plan import cleaned
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, selector
from pytest_meshcheck.platforms.kubernetes.api.server import Object, Refused
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN

ANY_NAMESPACE = "default"
"""Where objects are tried by dry run whose own namespace does not exist yet."""

TAKEN = 409
NAMESPACES = "/api/v1/namespaces"
GONE_WITHIN = 90.0


def namespace(name: str) -> Manifest:
    """A reference to a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def placed(manifest: Manifest, where: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A manifest in a namespace, with further labels."""
    metadata = manifest["metadata"]
    added = {**metadata, "namespace": where, "labels": {**(metadata.get("labels") or {}), **labels}}
    return {**manifest, "metadata": added}


async def until_earlier_are_gone(api: Api, run: str, names: Iterable[str], scale: float) -> None:
    """Wait until the namespaces of these names are gone that this run made for another mesh; Inconclusive if not."""
    wanted = set(names)

    def are_gone(found: Iterable[Object]) -> bool:
        return wanted.isdisjoint(one["metadata"]["name"] for one in found)

    try:
        await api.until(NAMESPACES, selector({RUN: run}), are_gone, GONE_WITHIN * scale)
    except TimeoutError as late:
        raise Inconclusive(
            f"namespaces of the mesh before are still being deleted: {', '.join(sorted(wanted))}"
        ) from late


async def refuse_taken(api: Api, namespaces: Mapping[str, Place], single: Iterable[KubernetesObject]) -> None:
    """Refuse namespaces that exist, each with a place that names it, and single objects that do.

    Raises:
        ManifestError: The first one.
    """
    for name, place in namespaces.items():
        if await api.has(namespace(name)):
            raise place.error(
                f"the namespace {name} exists in the cluster already, and a run touches only what it made; run without "
                "--mesh-context, on a cluster of the run's own, or take another name"
            )
    for one in single:
        if await api.has(one.manifest):
            raise one.place.error(f"{one} exists in the cluster, and a run touches only what it made; delete it first")


async def namespaces_are_free(kubeconfig: Path | None, context: str | None, named: Mapping[str, Place]) -> None:
    """Look into a cluster before anything is made.

    Raises:
        ManifestError: It has one of the namespaces, each given with a place that names it.
        MeshUnavailable: It cannot be had, or does not say.
    """
    api = await Api.connect(kubeconfig, context)
    try:
        await api.version()
        await refuse_taken(api, named, ())
    except Refused as error:
        raise MeshUnavailable(f"its namespaces cannot be read: {error}") from error
    finally:
        await api.close()


async def refuse_invalid(api: Api, resources: Iterable[KubernetesObject], home: str) -> None:
    """Have the server and the webhooks of the mesh try each resource, without creating it.

    Raises:
        ManifestError: One is rejected; with its place and the reason.
    """
    await asyncio.gather(*(_tried(api, one, home) for one in resources))


async def _tried(api: Api, one: KubernetesObject, home: str) -> None:
    where = home if one.namespace == home else ANY_NAMESPACE
    try:
        await api.try_to_create(placed(cleaned(one), where, {}))
    except Refused as error:
        if error.status != TAKEN:  # a name that is taken was valid
            raise one.place.error(f"{one} is rejected: {' '.join(error.message.split())}") from error
    except Inconclusive as unknown:
        raise one.place.error(f"{one}: {unknown}") from unknown
