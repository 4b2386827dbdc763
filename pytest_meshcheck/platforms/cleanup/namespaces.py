"""Removal of the namespaces of a run from a cluster."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import BACK_WITHIN, Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Object, Refused
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN

NAMESPACES = "/api/v1/namespaces"
GONE_WITHIN = 60.0


async def remove_namespaces(cluster_ref: ClusterRef, patience: float = BACK_WITHIN) -> list[str]:
    """Delete the namespaces of a run and wait until they are gone; returns the names of those that are not.

    The API server may be away for so many seconds.

    Raises:
        MeshUnavailable: The kubeconfig cannot be used, or has no such context.
    """
    api = await Api.connect(cluster_ref.kubeconfig, cluster_ref.context, patience)
    selector = f"{RUN}={cluster_ref.run}"
    left: list[str] = []

    def none_left(namespaces: Sequence[Object]) -> bool:
        left[:] = [namespace["metadata"]["name"] for namespace in namespaces]
        return not left

    try:
        found, _ = await api.items(NAMESPACES, selector)
        left[:] = [namespace["metadata"]["name"] for namespace in found]
        for namespace in found:
            await api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace["metadata"]})
        with suppress(TimeoutError):
            await api.until(NAMESPACES, selector, none_left, GONE_WITHIN)
        return left
    except (*UNREACHABLE, Refused, Inconclusive) as error:
        why = f"no answer within {patience:.0f} s" if isinstance(error, TimeoutError) else str(error)
        return [f"those labelled {selector} ({why})"]
    finally:
        await api.close()


async def runs_in(kubeconfig: Path | None, context: str | None) -> dict[str, list[str]]:
    """The runs that have namespaces in a cluster, with the names of those.

    Raises:
        MeshUnavailable: The cluster cannot be had.
    """
    api = await Api.connect(kubeconfig, context)
    runs: dict[str, list[str]] = {}
    try:
        await api.version()
        found, _ = await api.items(NAMESPACES, RUN)
    except Refused as error:
        raise MeshUnavailable(f"its namespaces cannot be listed: {error}") from error
    finally:
        await api.close()
    for namespace in found:
        runs.setdefault(namespace["metadata"]["labels"][RUN], []).append(namespace["metadata"]["name"])
    return runs
