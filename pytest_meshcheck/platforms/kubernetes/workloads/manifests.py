"""The Kubernetes resources of a workload; pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.model.workload_spec import Placement, Port, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number, served_at_once
from pytest_meshcheck.probe.agent.arguments import encoded
from pytest_meshcheck.probe.protocol.messages import Request

RUN = "meshcheck.dev/run"
WORKER = "meshcheck.dev/worker"
WORKLOAD = "app.kubernetes.io/name"
STAND_IN = "meshcheck.dev/stand-in"
"""The name of a workload whose other labels are those of a user's manifest."""
KNOWN_AS = "meshcheck.dev/known-as"
"""The name by which network policies select a pod. It can change while the pod runs: no owner selects pods by it."""
NAMESPACE_CLAIMS = (
    "kubernetes.io/metadata.name",
    "io.kubernetes.pod.namespace",
    "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
)
"""Labels that state the name of a namespace on the namespace itself, or in what a network notes about a pod.

Of a pod no network may believe them: https://github.com/advisories/GHSA-gj2r-phwg-6rww"""
GENERATION = "meshcheck.dev/generation"
"""Distinguishes replicas of a workload, and an instance from its successor; a service leads to one or to all."""

LINUX: Mapping[str, str] = {"kubernetes.io/os": "linux"}
"""The label of nodes that can run a probe: AKS and EKS do not taint their Windows nodes."""
PRIVILEGED: Mapping[str, str] = {"pod-security.kubernetes.io/enforce": "privileged"}
"""The label of a namespace with pods that the cluster's default may forbid, e.g. with init containers of a mesh, which
redirect traffic: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline"""

FIRST = 1
CONTAINER = "probe"
PYTHON = "/opt/meshcheck/bin/python"
SOCKET_FOLDER = "/run/meshcheck"
SOCKET = f"{SOCKET_FOLDER}/control"
RELAY = (PYTHON, "-m", "pytest_meshcheck.probe.agent.relay", SOCKET)
KILLED_AFTER = 4
"""Seconds after the grace of a workload, in which its probe continues to serve, until the kubelet kills it."""

USER = 65532
"""Not root, and not a user whose traffic a mesh exempts."""

FIRST_UNPRIVILEGED = 1024
LOW_PORTS = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
"""Lets a probe serve ports such as 80; safe by
https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls"""

SERVER_FIRST = "tcp"
"""Application protocol of a port on which the server speaks first. Istio knows it. Linkerd does not, and treats the
port as opaque; otherwise it would wait 10 s to detect a protocol."""


@dataclass(frozen=True)
class Ownership:
    """The owner of resources in the cluster.

    Attributes:
        run: The id of the run.
        worker: The process of the run; empty if there is only one.
        image: The probe's image.
        pull_policy: When the kubelet pulls it.
    """

    run: str
    worker: str
    image: str
    pull_policy: str = "IfNotPresent"

    @property
    def suffix(self) -> str:
        """The suffix of the names of namespaces."""
        return f"{self.run}-{self.worker}" if self.worker else self.run

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every resource of this process."""
        return {RUN: self.run} | ({WORKER: self.worker} if self.worker else {})

    def namespace(self, plain: str) -> str:
        """The name of a namespace in the cluster."""
        return f"{plain}-{self.suffix}"


def namespace(
    owner: Ownership,
    name: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """A namespace for any pods, unless ``labels`` say otherwise; ``name`` is its full name in the cluster."""
    metadata: dict[str, Any] = {"name": name, "labels": {**PRIVILEGED, **owner.labels, **(labels or {})}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def workload(owner: Ownership, spec: WorkloadSpec, metadata: Metadata, first: Request | None = None) -> list[Manifest]:
    """A workload's service account, service and workload resource; ``metadata`` is required by the mesh on its pods.

    Its probe sends the ``first`` request at once. Of a stand-in only the workload resource: the rest is given.
    """
    if spec.template:
        return [workload_resource(owner, spec, metadata, spec.replica, first)]
    leads_to = FIRST if spec.replicas == 1 else None
    return [
        service_account(owner, spec),
        service(owner, spec, leads_to),
        workload_resource(owner, spec, metadata, spec.replica, first),
    ]


def service_account(owner: Ownership, spec: WorkloadSpec) -> Manifest:
    """A service account without permissions."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(owner, spec, spec.service_account),
    }


def service(owner: Ownership, spec: WorkloadSpec, generation: int | None = FIRST) -> Manifest:
    """The service of one generation of a workload, or of all.

    From the names and application protocols of its ports a mesh learns the protocol.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(owner, spec, spec.name),
        "spec": {
            "selector": _selected(spec, generation),
            "ports": [_service_port(spec, port) for port in spec.ports],
        },
    }


def workload_resource(
    owner: Ownership, spec: WorkloadSpec, metadata: Metadata, generation: int = FIRST, first: Request | None = None
) -> Manifest:
    """The resource that makes the pod of one instance: a deployment, or a job, which makes no second one."""
    selected = _selected(spec, generation)
    name = spec.name if generation == FIRST else f"{spec.name}-{generation}"
    pod_metadata: dict[str, Any] = {"labels": owner.labels | selected | _known(spec) | dict(metadata.labels)}
    if metadata.annotations:
        pod_metadata["annotations"] = dict(metadata.annotations)
    template = {"metadata": pod_metadata, "spec": pod(owner, spec, first)}
    about = _metadata(owner, spec, name)
    if spec.job:
        once = {"backoffLimit": 0, "template": template}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": once}
    lasting = {"replicas": 1, "selector": {"matchLabels": selected}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": lasting}


def known_as(name: str, namespace: str | None = None) -> Manifest:
    """The change of a pod that network policies take for the workload of this name from then on.

    With a namespace, the pod claims to be in it; without one, it claims nothing.
    """
    return {"metadata": {"labels": {KNOWN_AS: name, **dict.fromkeys(NAMESPACE_CLAIMS, namespace)}}}


def sample(owner: Ownership, spec: WorkloadSpec, metadata: Metadata) -> Manifest:
    """A pod like that of a workload, for a dry run in a namespace without its service account."""
    about = {"generateName": "meshcheck-", "labels": dict(metadata.labels), "annotations": dict(metadata.annotations)}
    tried = {**pod(owner, spec), "serviceAccountName": ""}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": tried}


def pod(owner: Ownership, spec: WorkloadSpec, first: Request | None = None) -> Manifest:
    """A pod with one probe; it satisfies the restricted Pod Security Standard."""
    return {
        **({"restartPolicy": "Never"} if spec.job else {}),
        **_placed(spec.placement),
        "nodeSelector": dict(LINUX),
        "serviceAccountName": spec.service_account,
        "terminationGracePeriodSeconds": math.ceil(spec.grace) + KILLED_AFTER,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            **_low_ports(spec),
        },
        "containers": [_container(owner, spec, first)],
        "volumes": [{"name": "control", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    }


def _container(owner: Ownership, spec: WorkloadSpec, first: Request | None) -> Manifest:
    return {
        "name": CONTAINER,
        "image": owner.image,
        "imagePullPolicy": owner.pull_policy,
        "command": [PYTHON, "-m", "pytest_meshcheck.probe"],
        "args": ["--socket", SOCKET, *served_at_once(spec), *_first(first), "--drain", f"{spec.grace:g}"],
        "ports": [
            {"name": port.name, "containerPort": port_number(spec, port.name), "protocol": "TCP"} for port in spec.ports
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "control", "mountPath": SOCKET_FOLDER}],
    }


def watchers(owner: Ownership) -> list[Manifest]:
    """One privileged probe in the network of each node: it captures all interfaces, and can kill containers."""
    home = owner.namespace("wire")
    labels = owner.labels | {WORKLOAD: "wire"}
    return [
        namespace(owner, home),
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "wire", "namespace": home, "labels": labels},
            "spec": {
                "selector": {"matchLabels": {WORKLOAD: "wire"}},
                "template": {"metadata": {"labels": labels}, "spec": _watcher(owner)},
            },
        },
    ]


def _watcher(owner: Ownership) -> Manifest:
    return {
        "hostNetwork": True,
        "hostPID": True,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": dict(LINUX),
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": CONTAINER,
                "image": owner.image,
                "imagePullPolicy": owner.pull_policy,
                "command": [PYTHON, "-m", "pytest_meshcheck.probe"],
                "args": ["--socket", SOCKET, "--drain", "0"],
                "securityContext": {"privileged": True, "runAsUser": 0},
                "volumeMounts": [{"name": "control", "mountPath": SOCKET_FOLDER}],
            }
        ],
        "volumes": [{"name": "control", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    }


def _placed(placement: Placement | None) -> Manifest:
    if placement is None:
        return {}
    term = {
        "labelSelector": {"matchLabels": {WORKLOAD: placement.other.name}},
        "namespaces": [placement.other.namespace],
        "topologyKey": "kubernetes.io/hostname",
    }
    kind = "podAffinity" if placement.same_node else "podAntiAffinity"
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def _low_ports(spec: WorkloadSpec) -> Manifest:
    numbers = [port_number(spec, port.name) for port in spec.ports]
    return {"sysctls": [LOW_PORTS]} if any(number < FIRST_UNPRIVILEGED for number in numbers) else {}


def _first(request: Request | None) -> tuple[str, ...]:
    return ("--first", encoded(request)) if request else ()


def _metadata(owner: Ownership, spec: WorkloadSpec, name: str) -> Manifest:
    return {"name": name, "namespace": spec.namespace, "labels": owner.labels | _named(spec)}


def _named(spec: WorkloadSpec) -> dict[str, str]:
    return {STAND_IN if spec.template else WORKLOAD: spec.name}


def _known(spec: WorkloadSpec) -> dict[str, str]:
    return {} if spec.template else {KNOWN_AS: spec.name}


def _selected(spec: WorkloadSpec, generation: int | None) -> dict[str, str]:
    return _named(spec) | ({} if generation is None else {GENERATION: str(generation)})


def _service_port(spec: WorkloadSpec, port: Port) -> Manifest:
    number = port_number(spec, port.name)
    declared = {"name": port.name, "port": number, "targetPort": number, "protocol": "TCP"}
    application = SERVER_FIRST if port.server_first else port.protocol.facts.declared
    return declared | ({"appProtocol": application} if application else {})
