"""When a control plane in a cluster really works: its deployments have rolled out, and its webhook injects."""

import asyncio
import datetime
from collections.abc import Callable, Sequence

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object, Refused
from pytest_meshcheck.platforms.kubernetes.evidence.logs import trouble

SAMPLES = "/api/v1/namespaces/default/pods"
"""Where pods are tried out that are never created."""

PAUSE = 0.2

FORMS = {True: "native sidecars", False: "sidecars that are ordinary containers"}
"""By whether Kubernetes knows them for sidecars, which start before the application and end after it."""


def deployments(namespace: str) -> str:
    """The path of a namespace's deployments."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


async def rolled_out(api: Api, namespace: str, names: Sequence[str], within: float) -> None:
    """Wait until all replicas of these deployments are of the newest generation, and serve.

    Raises:
        Inconclusive: They are not, within so many seconds; says what their pods wait for.
    """
    await _all(api, deployments(namespace), names, _serves, within)


async def every_node(api: Api, namespace: str, names: Sequence[str], within: float) -> None:
    """Wait until these daemon sets serve on every node that they are meant for.

    Raises:
        Inconclusive: They do not, within so many seconds; says what their pods wait for.
    """
    await _all(api, f"/apis/apps/v1/namespaces/{namespace}/daemonsets", names, _on_every_node, within)


async def restart(api: Api, namespace: str, names: Sequence[str]) -> None:
    """Have deployments replace their pods, as ``kubectl rollout restart`` does; ``rolled_out`` tells when they have."""
    restarted = {"kubectl.kubernetes.io/restartedAt": datetime.datetime.now(datetime.UTC).isoformat()}
    for name in names:
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"template": {"metadata": {"annotations": restarted}}},
        }
        await api.apply(deployment)


async def injects(
    api: Api, metadata: Metadata, sidecar: Callable[[Object], bool], within: float, *, in_a_row: int = 1
) -> Object:
    """Wait until the webhook adds a container to a pod that is never created, and return that container.

    Args:
        api: The cluster.
        metadata: What the mesh wants on a pod.
        sidecar: Tells whether a container is what is to be added.
        within: Seconds.
        in_a_row: How many times, where several replicas of a webhook may answer.

    Raises:
        Inconclusive: It does not.
    """
    until, added, found = asyncio.get_running_loop().time() + within, 0, list[Object]()
    while added < in_a_row:
        try:
            pod = await api.created_dry(SAMPLES, _sample(metadata))
            found = [*filter(sidecar, [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])])]
            added = added + 1 if found else 0
            seen = "it adds no such sidecar"
        except Refused as error:
            added, seen = 0, str(error)
        if asyncio.get_running_loop().time() > until:
            raise Inconclusive(f"the webhook adds no sidecar to pods: {seen}; can the API server reach it?")
        await asyncio.sleep(PAUSE)
    return found[0]


def form_of(sidecar: Object) -> str:
    """Which form of sidecar a container is; https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/."""
    return FORMS[sidecar.get("restartPolicy") == "Always"]


async def _all(api: Api, path: str, names: Sequence[str], good: Callable[[Object], bool], within: float) -> None:
    namespace = path.split("/")[-2]
    missing: list[str] = []

    def available(there: Sequence[Object]) -> bool:
        found = {one["metadata"]["name"] for one in there if good(one)}
        missing[:] = [name for name in names if name not in found]
        return not missing

    try:
        await api.until(path, "", available, within)
    except TimeoutError as late:
        why = await trouble(api, namespace)
        listed = ", ".join(missing)
        raise Inconclusive(f"{listed} in {namespace} is not available after {within:.0f} s: {why}") from late


def _on_every_node(daemons: Object) -> bool:
    status = daemons.get("status", {})
    seen = status.get("observedGeneration", 0) >= daemons["metadata"]["generation"]
    wanted = status.get("desiredNumberScheduled", 0)
    counts = [status.get(field, 0) for field in ("updatedNumberScheduled", "numberAvailable")]
    return bool(seen and wanted and counts == [wanted] * 2)


def _serves(deployment: Object) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(field, 0) for field in ("updatedReplicas", "availableReplicas", "replicas")]
    return bool(seen and counts == [wanted] * 3)


def _sample(metadata: Metadata) -> Object:
    about = {"generateName": "meshcheck-", "labels": dict(metadata.labels), "annotations": dict(metadata.annotations)}
    containers = [{"name": "sample", "image": "none"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {"containers": containers}}
