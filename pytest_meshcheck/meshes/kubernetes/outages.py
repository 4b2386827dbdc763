"""Outages of deployments: they are scaled to zero, and back to their number of replicas."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pytest_meshcheck.meshes.kubernetes.readiness import deployments
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, selector
from pytest_meshcheck.platforms.kubernetes.api.server import FORBIDDEN, Object, was_refused

REPLICAS = "meshcheck.dev/replicas"
"""The annotation with the number of replicas before the outage: whoever finds it after a killed run can restore it."""

GONE_WITHIN = 60.0
"""Seconds until the last pod of a deployment is gone."""


@asynccontextmanager
async def scaled_to_zero(api: Api, namespace: str, names: Sequence[str], scale: float) -> AsyncIterator[None]:
    """No pod of these deployments runs while the block runs; they are scaled back however it ends.

    Pods are killed: with a period of grace they would serve those who are connected for that long.

    Raises:
        Inconclusive: A pod does not go away, or there is no such deployment.
    """
    try:
        for name in names:
            await _scale_to_zero(api, namespace, name)
        for name in names:
            await _kill_pods(api, namespace, name, GONE_WITHIN * scale)
        yield
    finally:
        await asyncio.shield(scale_back(api, namespace))


async def scale_back(api: Api, namespace: str) -> None:
    """Scale those deployments of a namespace back that an outage has scaled to zero."""
    found, _ = await api.items(deployments(namespace))
    for deployment in found:
        before = deployment["metadata"].get("annotations", {}).get(REPLICAS)
        if before is not None:
            change = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": int(before)}}
            await api.change(f"{deployments(namespace)}/{deployment['metadata']['name']}", change)


async def _scale_to_zero(api: Api, namespace: str, name: str) -> None:
    deployment = await _read(api, namespace, name)
    known = deployment["metadata"].get("annotations", {}).get(REPLICAS)
    before = known or str(deployment["spec"].get("replicas", 1))
    change = {"metadata": {"annotations": {REPLICAS: before}}, "spec": {"replicas": 0}}
    await api.change(f"{deployments(namespace)}/{name}", change)


async def _kill_pods(api: Api, namespace: str, name: str, within: float) -> None:
    labels = (await _read(api, namespace, name))["spec"]["selector"]["matchLabels"]
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods, _ = await api.items(path, selector(labels))
    for pod in pods:
        await _kill(api, {"name": pod["metadata"]["name"], "namespace": namespace})
    try:
        await api.until(path, selector(labels), lambda there: not there, within)
    except TimeoutError as late:
        raise Inconclusive(f"{name} in {namespace} was scaled to zero, and has pods {within:.0f} s later") from late


async def _kill(api: Api, pod: Object) -> None:
    """Delete a pod without a period of grace; a run that may not delete pods of a mesh waits until they have ended."""
    try:
        await api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": pod}, grace=0)
    except Inconclusive as refused:
        if not was_refused(refused, FORBIDDEN):
            raise


async def _read(api: Api, namespace: str, name: str) -> Object:
    found = await api.read(f"{deployments(namespace)}/{name}")
    if found is None:
        raise Inconclusive(f"there is no deployment {name} in {namespace}, so it cannot be stopped")
    return found
