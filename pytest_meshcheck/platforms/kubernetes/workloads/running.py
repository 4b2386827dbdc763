"""The running workloads of a run, and their pods."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import FIRST, GENERATION, STAND_IN, WORKLOAD
from pytest_meshcheck.probe.controller import Probe


@dataclass(frozen=True)
class Running:
    """A running workload.

    Attributes:
        spec: The workload as requested.
        pod: Its pod at the time when the probe first answered.
        service_address: The address of its service in the cluster.
        probe: Its control connection.
        generation: Its number among the instances that replaced each other.
    """

    spec: WorkloadSpec
    pod: Object
    service_address: str
    probe: Probe
    generation: int = FIRST

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the pod."""
        return self.pod["metadata"]["namespace"], self.pod["metadata"]["name"]

    @property
    def address(self) -> str:
        """The pod's address."""
        return str(self.pod["status"]["podIP"])

    @property
    def node(self) -> str:
        """The node that it runs on."""
        return str(self.pod["spec"]["nodeName"])

    @property
    def node_address(self) -> str:
        """The address of that node."""
        return str(self.pod["status"]["hostIP"])


def pods_of(
    known: Mapping[tuple[str, str], Object], namespace: str, name: str, generation: int | None = None
) -> list[Object]:
    """The pods of one workload, or of one generation of them."""
    return [
        pod
        for (where, _), pod in known.items()
        if where == namespace and _workload(pod) == name and generation in (None, _generation(pod))
    ]


def _workload(pod: Object) -> str | None:
    """The name of the workload of a pod; the other labels of a stand-in are a user's."""
    labels = _labels(pod)
    return labels.get(STAND_IN) or labels.get(WORKLOAD)


def _generation(pod: Object) -> int | None:
    number = _labels(pod).get(GENERATION)
    return int(number) if number else None


def _labels(pod: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = pod["metadata"].get("labels", {})
    return labels
