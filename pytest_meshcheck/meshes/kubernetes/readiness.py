"""Readiness of a control plane: its deployments have rolled out, and its webhook injects."""

import asyncio
import datetime
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.api.resources import BEHIND, Api
from pytest_meshcheck.platforms.kubernetes.api.server import FORBIDDEN, NOT_FOUND, Object, Refused, was_refused
from pytest_meshcheck.platforms.kubernetes.evidence.logs import trouble
from pytest_meshcheck.platforms.kubernetes.workloads import manifests
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN, Ownership

DAEMON_SETS = "/apis/apps/v1/daemonsets"
SAMPLES = "sample"
"""The namespace of the dry-run pods, one of the run's own: admission policies differ between namespaces."""

PASSING = re.compile(
    f"failed calling webhook|error looking up service account|status unknown for quota|{BEHIND.pattern}"
)
"""Why a pod may be forbidden for a while: a webhook is away, or the namespace is new."""

PAUSE = 0.2

FORMS = {True: "native sidecars", False: "sidecars that are ordinary containers"}
"""The forms of sidecars. Native ones start before the application and end after it."""


def deployments(namespace: str) -> str:
    """The API path of a namespace's deployments."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


async def rolled_out(api: Api, namespace: str, names: Sequence[str], within: float) -> None:
    """Wait until all replicas of these deployments belong to the newest generation, and serve.

    Raises:
        Inconclusive: They do not within this time, in seconds; with the state of their pods.
    """
    missing: list[str] = []

    def available(there: Sequence[Object]) -> bool:
        found = {one["metadata"]["name"] for one in there if _serves(one)}
        missing[:] = [name for name in names if name not in found]
        return not missing

    try:
        await api.until(deployments(namespace), "", available, within)
    except TimeoutError as late:
        raise await _unavailable(api, namespace, ", ".join(missing), within) from late


async def every_node(api: Api, label: str, within: float) -> str:
    """Wait until the daemon set of pods with a label serves on every node that it selects; returns its namespace.

    Raises:
        Inconclusive: It does not within this time, in seconds; with the state of its pods.
    """
    key, _, value = label.partition("=")
    found: list[Object] = []

    def available(there: Sequence[Object]) -> bool:
        found[:] = [one for one in there if one["spec"]["selector"].get("matchLabels", {}).get(key) == value]
        return bool(found) and all(map(_on_every_node, found))

    try:
        await api.until(DAEMON_SETS, "", available, within)
    except TimeoutError as late:
        if not found:
            raise Inconclusive(f"after {within:.0f} s no namespace has a DaemonSet of pods labelled {label}") from late
        about = found[0]["metadata"]
        raise await _unavailable(api, about["namespace"], about["name"], within) from late
    return str(found[0]["metadata"]["namespace"])


async def _unavailable(api: Api, namespace: str, what: str, within: float) -> Inconclusive:
    why = await trouble(api, namespace)
    return Inconclusive(f"{what} in {namespace} is not available after {within:.0f} s: {why}")


async def restart(api: Api, namespace: str, names: Sequence[str]) -> None:
    """Restart deployments, like ``kubectl rollout restart``; ``rolled_out`` waits for the end."""
    restarted = {"kubectl.kubernetes.io/restartedAt": datetime.datetime.now(datetime.UTC).isoformat()}
    for name in names:
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"template": {"metadata": {"annotations": restarted}}},
        }
        await api.apply(deployment)


async def touch(api: Api, namespace: str, selector: str, why: str) -> None:
    """Change an annotation of pods: the kubelet then brings them changed Secrets and ConfigMaps at once.

    Otherwise that takes up to two minutes. A pod that has gone meanwhile is left out.
    """
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods, _ = await api.items(path, selector)
    change = {"metadata": {"annotations": {"meshcheck.dev/rotated": f"{why} {time.time_ns()}"}}}
    await asyncio.gather(*(_annotate(api, f"{path}/{pod['metadata']['name']}", change) for pod in pods))


async def _annotate(api: Api, pod: str, change: Manifest) -> None:
    try:
        await api.change(pod, change)
    except Inconclusive as refused:
        if not was_refused(refused, NOT_FOUND):
            raise


async def injects(
    api: Api,
    owner: Ownership,
    metadata: Metadata,
    sidecar: Callable[[Object], bool],
    within: float,
    *,
    in_a_row: int = 1,
) -> Object:
    """Wait until the webhook adds a container to a dry-run pod, and return that container.

    Args:
        api: The cluster.
        owner: The owner of the namespace of the pod.
        metadata: The labels and annotations that enrol a pod.
        sidecar: Whether a container is the awaited one.
        within: The time limit in seconds.
        in_a_row: The number of consecutive successes, as several replicas of a webhook may answer.

    Raises:
        Inconclusive: It does not within this time, or the cluster forbids such pods.
    """
    home = owner.namespace(SAMPLES)
    await api.apply(manifests.namespace(owner, home))
    until, added, found = asyncio.get_running_loop().time() + within, 0, list[Object]()
    while added < in_a_row:
        found, why = await _injected(api, home, metadata, sidecar)
        added = added + 1 if found else 0
        if asyncio.get_running_loop().time() > until:
            raise Inconclusive(f"the webhook adds no sidecar to pods: {why}")
        await asyncio.sleep(PAUSE)
    return found[0]


async def _injected(
    api: Api, namespace: str, metadata: Metadata, sidecar: Callable[[Object], bool]
) -> tuple[list[Object], str]:
    """The awaited containers of a dry-run pod, and why there are none."""
    try:
        pod = await api.created_dry(f"/api/v1/namespaces/{namespace}/pods", _sample(metadata))
    except Refused as error:
        _refuse_forbidden(error, namespace)
        return [], str(error)
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    return [*filter(sidecar, containers)], "it adds no such sidecar; can the API server reach it?"


def _refuse_forbidden(error: Refused, namespace: str) -> None:
    """Inconclusive if the cluster forbids a pod for good."""
    if error.status == FORBIDDEN and not PASSING.search(error.message):
        raise Inconclusive(
            f"the cluster rejects pods of the mesh in {namespace}: {error}; if a policy or quota rejects them, exempt "
            f"namespaces with the label {RUN}"
        ) from error


def form_of(sidecar: Object) -> str:
    """The form of a sidecar container; https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/."""
    return FORMS[is_native(sidecar)]


def is_native(sidecar: Object) -> bool:
    """Whether a sidecar container starts before the application, and ends after it."""
    return bool(sidecar.get("restartPolicy") == "Always")


def as_injected(documented: Documented, sidecar: Object) -> Documented:
    """What a mesh promises whose pods get this sidecar container.

    An application waits for a native sidecar, and for an ordinary one with a hook after its start
    (https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/). An ordinary one outlives a job.
    """
    lifecycle, native = documented.lifecycle, is_native(sidecar)
    waits = native or "postStart" in sidecar.get("lifecycle", {})
    ends = lifecycle.job_ends_within if native else math.inf
    return replace(documented, lifecycle=replace(lifecycle, application_waits=waits, job_ends_within=ends))


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
    return bool(seen and wanted and counts == [wanted] * 3)


def _sample(metadata: Metadata) -> Object:
    about = {"generateName": "meshcheck-", "labels": dict(metadata.labels), "annotations": dict(metadata.annotations)}
    containers = [{"name": "sample", "image": "none"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {"containers": containers}}
