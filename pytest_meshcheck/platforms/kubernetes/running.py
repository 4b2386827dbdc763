"""The running workloads of a run, and their pods among all others."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.kubernetes.api import Object
from pytest_meshcheck.platforms.kubernetes.manifests import FIRST, GENERATION, WORKLOAD
from pytest_meshcheck.probe.controller import Probe


@dataclass(frozen=True)
class Running:
    """A workload that runs.

    Attributes:
        spec: What was asked for.
        pod: Its pod as it was once the probe answered.
        service_address: The address of its service in the cluster.
        probe: Its control connection.
        generation: Its place among the instances that took each other's place.
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
        """Where it runs."""
        return str(self.pod["spec"]["nodeName"])


def pods_of(
    known: Mapping[tuple[str, str], Object], namespace: str, name: str, generation: int | None = None
) -> list[Object]:
    """The pods of one workload, or of one generation of them."""
    wanted = {WORKLOAD: name} | ({} if generation is None else {GENERATION: str(generation)})
    return [pod for (where, _), pod in known.items() if where == namespace and wanted.items() <= _labels(pod).items()]


def _labels(pod: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = pod["metadata"].get("labels", {})
    return labels
