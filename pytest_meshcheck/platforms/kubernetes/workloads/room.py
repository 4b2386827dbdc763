"""Whether pods fit on the nodes of a cluster by their resource requests, calculated as the scheduler does; pure.

https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import add

from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import LINUX

UNITS = {
    # suffix of a quantity: factor
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
QUANTITY = re.compile(rf"([+-]?[\d.]+(?:[eE][+-]?\d+)?)({'|'.join(UNITS)})")

ENDED = ("Succeeded", "Failed")
KEEPS_OFF = ("NoSchedule", "NoExecute")
GIBIBYTE = 2**30


@dataclass(frozen=True)
class Room:
    """Resources that pods request, or that nodes have.

    Attributes:
        cpu: Cores.
        memory: Bytes.
        pods: Number of pods.
    """

    cpu: Fraction = Fraction(0)
    memory: Fraction = Fraction(0)
    pods: int = 0

    def __add__(self, other: "Room") -> "Room":
        return Room(self.cpu + other.cpu, self.memory + other.memory, self.pods + other.pods)

    def __sub__(self, other: "Room") -> "Room":
        return Room(self.cpu - other.cpu, self.memory - other.memory, self.pods - other.pods)

    def __mul__(self, times: int) -> "Room":
        return Room(self.cpu * times, self.memory * times, self.pods * times)

    def holds(self, other: "Room") -> bool:
        """Whether there is at least as much of each resource."""
        return other.cpu <= self.cpu and other.memory <= self.memory and other.pods <= self.pods

    def __str__(self) -> str:
        return f"{float(self.cpu):.2f} CPU, {float(self.memory) / GIBIBYTE:.2f} GiB and {self.pods} pods"


def requested(pod: Object) -> Room:
    """The requests of one pod: of all containers that run at once, or of a larger init container before them."""
    spec = pod["spec"]
    sidecars, most = Room(), Room()
    for container in spec.get("initContainers", ()):
        if container.get("restartPolicy") == "Always":
            sidecars += _of(container)
            most = _most(most, sidecars)
        else:
            most = _most(most, sidecars + _of(container))
    running = total([sidecars, *map(_of, spec["containers"])])
    largest = _most(most, running) + _read(spec.get("overhead", {}))
    return Room(largest.cpu, largest.memory, 1)


def allocatable(node: Object) -> Room:
    """The resources of a node for workloads; nothing if it accepts none."""
    spec, status = node.get("spec", {}), node.get("status", {})
    is_shut = spec.get("unschedulable") or any(taint["effect"] in KEEPS_OFF for taint in spec.get("taints", ()))
    is_linux = LINUX.items() <= node["metadata"].get("labels", {}).items()
    if not is_ready(node) or is_shut or not is_linux:
        return Room()
    return _read(status["allocatable"])


def is_ready(node: Object) -> bool:
    """Whether a node can run pods, for which it needs a network."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def free(nodes: Sequence[Object], pods: Iterable[Object]) -> Room:
    """The resources that these pods leave on nodes that accept pods."""
    rooms = {node["metadata"]["name"]: allocatable(node) for node in nodes}
    open_ = {name for name, room in rooms.items() if room.pods}
    taken = [requested(pod) for pod in pods if _stays(pod) and pod["spec"].get("nodeName") in open_]
    return total(rooms.values()) - total(taken)


def total(rooms: Iterable[Room]) -> Room:
    """The sum."""
    return reduce(add, rooms, Room())


def quantity(text: str | int) -> Fraction:
    """A quantity such as ``100m`` or ``64Mi``; ValueError for anything else."""
    found = QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is not a quantity")
    return Fraction(found[1]) * UNITS[found[2]]


def _most(one: Room, other: Room) -> Room:
    return Room(max(one.cpu, other.cpu), max(one.memory, other.memory))


def _of(container: Object) -> Room:
    return _read(container.get("resources", {}).get("requests", {}))


def _read(resources: Mapping[str, str]) -> Room:
    cpu, memory, pods = (quantity(resources.get(name, "0")) for name in ("cpu", "memory", "pods"))
    return Room(cpu, memory, int(pods))


def _stays(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") not in ENDED
