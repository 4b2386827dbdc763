"""The Cilium that a cluster has: where it is, how it is configured, and which version it is."""

import re
from collections.abc import Mapping
from typing import NoReturn

from pytest_meshcheck.meshes.cilium.settings import CONFIG
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.workloads.room import is_ready

SYSTEM = "cilium"
"""A namespace of its own: the suite removes the namespace of the mesh, which kube-system must survive."""

USUAL = "kube-system"
"""The usual namespace of a pre-installed Cilium."""


async def configuration(api: Api) -> tuple[str, Mapping[str, str]]:
    """The namespace of Cilium, and the configuration of its agents.

    Raises:
        MeshUnavailable: Cilium is not installed.
    """
    for namespace in (USUAL, SYSTEM):
        found = await api.read(f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG}")
        if found is not None:
            return namespace, found.get("data", {})
    raise MeshUnavailable(
        f"Cilium is not installed: no ConfigMap {CONFIG} in {USUAL} or {SYSTEM}; omit --mesh-installed to install it"
    )


async def refuse_network(api: Api) -> None:
    """MeshUnavailable if a node is Ready: such a cluster has a CNI plugin, which Cilium would replace permanently.

    Its chart renames another plugin's configuration on every node, and leaves its own behind when uninstalled, so that
    all new pods fail: https://docs.cilium.io/en/stable/helm-reference/ (cni.exclusive, cni.uninstall).
    """
    nodes, _ = await api.items("/api/v1/nodes")
    if connected := [node["metadata"]["name"] for node in nodes if is_ready(node)]:
        raise MeshUnavailable(
            f"node {connected[0]} is Ready, so the cluster already has a CNI plugin, which Cilium would replace "
            "permanently: test an installed Cilium with --mesh-installed, or omit --mesh-context and --mesh-kubeconfig "
            "for a kind cluster of the run's own"
        )


def complete(workload: Object) -> bool:
    """Whether all pods of a DaemonSet, Deployment or StatefulSet belong to the newest generation and are ready.

    Those of a DaemonSet with the strategy OnDelete may belong to an older one.
    """
    status: Mapping[str, int] = workload.get("status", {})
    if status.get("observedGeneration", 0) < int(workload["metadata"]["generation"]):
        return False
    if "desiredNumberScheduled" in status:
        on_delete = workload["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
        counted = ("numberReady",) if on_delete else ("numberReady", "updatedNumberScheduled")
        wanted = status["desiredNumberScheduled"]
    else:
        wanted, counted = int(workload["spec"].get("replicas", 1)), ("readyReplicas", "updatedReplicas")
    return bool(wanted) and all(status.get(field) == wanted for field in counted)


def version_of(image: str) -> str:
    """The version in the tag of an image, e.g. ``1.20.0``; empty if there is none."""
    found = re.search(r":v?(\d+\.\d+\.\d+[^@]*)", image)
    return found[1] if found else ""


def refuse_nameless(image: str) -> NoReturn:
    """MeshUnavailable: the version must be known."""
    raise MeshUnavailable(f"the agents' image {image} has no version in its tag: name it, --mesh=NAME@VERSION")


def minor(version: str) -> str:
    """The minor version, e.g. ``1.20``."""
    return ".".join(version.removeprefix("v").split(".")[:2])
