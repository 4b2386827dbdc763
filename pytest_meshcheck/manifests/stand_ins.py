"""Stand-ins: what a probe takes over from a workload of a user's manifests; pure.

Images, commands, environments, volumes and secrets are not read at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.manifests.objects import KubernetesObject, Place, texts
from pytest_meshcheck.manifests.protocols import Declared, declared

MOST_REPLICAS = 2
"""Two replicas show whether each of them behaves; more would only need more room on the nodes."""

POD_TEMPLATES: Mapping[tuple[str, str], tuple[str, ...]] = {
    # group and kind of a workload: where its pod template is
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("argoproj.io", "Rollout"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("", "Pod"): (),
}
ONE_POD = ("Pod", "Job", "CronJob", "DaemonSet")
"""Kinds whose stand-in has one pod: a DaemonSet's number is that of the nodes."""

DEFAULT_ACCOUNT = "default"


@dataclass(frozen=True)
class StandInPort:
    """A port that a stand-in serves.

    Attributes:
        number: Its number.
        name: The name of the container port; empty without one.
        declared: Its protocol.
    """

    number: int
    name: str
    declared: Declared


@dataclass(frozen=True, eq=False)
class StandIn:
    """A probe in the place of one workload.

    Attributes:
        namespace: Its namespace; empty for that of the objects that name none.
        name: Its name.
        kind: The kind of the workload.
        labels: The labels of its pods.
        annotations: The annotations of its pods.
        service_account: The name of its service account.
        replicas: How many pods it gets.
        ports: The ports that it serves.
        place: Where the workload is written.
    """

    namespace: str
    name: str
    kind: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service_account: str
    replicas: int
    ports: tuple[StandInPort, ...]
    place: Place

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def is_workload(one: KubernetesObject) -> bool:
    """Whether an object makes pods, so that it gets a stand-in."""
    return (one.group, one.kind) in POD_TEMPLATES


def stand_in(one: KubernetesObject) -> StandIn:
    """The stand-in of a workload, with its container ports.

    Raises:
        ManifestError: Its pod template or a port is malformed.
    """
    template = _template(one)
    metadata, spec = template.get("metadata") or {}, template.get("spec")
    if not isinstance(spec, Mapping):
        raise one.place.error(f"{one} has no pod template with a spec")
    return StandIn(
        namespace=one.namespace,
        name=one.name,
        kind=one.kind,
        labels=texts(metadata.get("labels")),
        annotations=texts(metadata.get("annotations")),
        service_account=str(spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT_ACCOUNT),
        replicas=_replicas(one),
        ports=_ports(one, spec),
        place=one.place,
    )


def _template(one: KubernetesObject) -> Mapping[str, Any]:
    found: Any = one.manifest
    for key in POD_TEMPLATES[one.group, one.kind]:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _replicas(one: KubernetesObject) -> int:
    wanted = one.spec.get("replicas", 1)
    if one.kind in ONE_POD or wanted is None:
        return 1
    if not isinstance(wanted, int) or wanted < 0:
        raise one.place.error(f"{one} has replicas: {wanted!r}; write a number from 0")
    return min(max(wanted, 1), MOST_REPLICAS)


def _ports(one: KubernetesObject, spec: Mapping[str, Any]) -> tuple[StandInPort, ...]:
    """The container ports over TCP, each number and each name once: a stand-in has one container."""
    found: dict[int, StandInPort] = {}
    for container in _containers(spec):
        for port in container.get("ports") or ():
            number = port.get("containerPort")
            if not isinstance(number, int):
                raise one.place.error(f"{one} has a container port {number!r}; write a number from 1 to 65535")
            if port.get("protocol", "TCP") == "TCP" and number not in found:
                name, taken = str(port.get("name") or ""), {one.name for one in found.values()}
                found[number] = StandInPort(number, "" if name in taken else name, declared(port))
    return tuple(found.values())


def _containers(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The containers that run as long as the pod."""
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return [*sidecars, *(spec.get("containers") or ())]
