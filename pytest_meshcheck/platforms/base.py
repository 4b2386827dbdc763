"""The interface of platforms."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import CaptureResult
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, WorkloadSpec
from pytest_meshcheck.probe.protocol.messages import ServerTls, Standstill

ROUNDING = 0.05

Manifest = Mapping[str, Any]
"""One resource of a mesh, as plain data: ``kind``, ``metadata`` (``namespace``, ``name``), ``spec``."""


@dataclass(frozen=True)
class Metadata:
    """The labels and annotations that a mesh requires on the pods of a workload, enrolled or not.

    ``namespace_labels`` are for meshes that enrol whole namespaces: all workloads of one are then given the same.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProxyHop:
    """A proxy of the mesh that requests pass on their way, outside of the pods of client and server.

    Attributes:
        name: Its name in evidence.
        address: The address of its pod.
        node: The node that it runs on.
    """

    name: str
    address: str
    node: str


@dataclass(frozen=True)
class Interval:
    """A time in which processes are asked about.

    Attributes:
        since: A moment of ``probe.pulse.now`` in this process.
        until: A later one.
        during: The length of the windows whose worst one counts, in seconds.
    """

    since: float
    until: float
    during: float


@dataclass(frozen=True)
class Stall:
    """A process of the run that could not react for some time, or ran out of a resource.

    Attributes:
        process: E.g. ``probe of blue/client``.
        standstill: In the interval that was asked about.
    """

    process: str
    standstill: Standstill

    def __str__(self) -> str:
        stood = self.standstill
        if stood.shortage:
            return f"{self.process} ran out of {stood.shortage}"
        if stood.lost - stood.longest < ROUNDING:
            return f"{self.process} was paused for {stood.longest:.1f} s"
        return f"{self.process} was paused for {stood.longest:.1f} s at once and {stood.lost:.1f} s in total"


class Wire(Protocol):
    """The bytes between the data planes of two workloads, or between two probes without data planes."""

    async def look_for(self, *needles: str) -> CaptureResult:
        """Which of these texts were seen, in either direction, since the recording began."""


class Platform(Protocol):
    """Runs workloads and holds a mesh's resources. One platform serves one session of one mesh."""

    journal: Journal

    def namespace(self, plain: str) -> str:
        """The name on this platform of a namespace of the stage."""

    async def start(self, spec: WorkloadSpec, metadata: Metadata) -> Workload:
        """Start a workload and wait until it serves; ``metadata`` comes from ``Mesh.enrolment``."""

    async def serve(self, workload: Workload, port: str, tls: ServerTls | None = None) -> None:
        """Open a port of an impersonated workload, which serves nothing by itself; with TLS where ``tls`` is given."""

    async def stop(self, spec: WorkloadSpec) -> None:
        """Stop a workload, also one that has not started; a missing one is no error."""

    async def address_of(self, spec: WorkloadSpec, port: str) -> Address:
        """Where a port of a workload is reached that is starting, outside of its service, as soon as it has an address.

        Raises:
            Inconclusive: It gets none.
        """

    def termination(self, workload: Workload) -> AbstractAsyncContextManager[None]:
        """Have a workload be in its grace period while the block runs: asked to end, it goes on; stop it afterwards."""

    async def finish(self, workload: Workload, within: float) -> str:
        """Have the application of a job end by itself, with exit code 0, and wait for the end of its workload.

        The workload does not count as running any more; ``stop`` removes what is left of it.

        Returns:
            What of it has not ended ``within`` seconds later; empty if all has.

        Raises:
            Inconclusive: Its application does not end so.
        """

    async def ensure_alive(self) -> None:
        """Raise Inconclusive if a process of the run has died; the message names it, the cause and its log's end."""

    async def crashes(self) -> Sequence[str]:
        """How each data plane of a workload ended that crashed since ``forget_crashes``, with the cause by its log."""

    def forget_crashes(self) -> None:
        """Forget the crashes of data planes that are gone, and were reported."""

    async def stalls(self, interval: Interval) -> Sequence[Stall]:
        """For how long each process of this run could not react, this one aside; Inconclusive where one is gone."""

    def longest_stalls(self) -> Mapping[str, float]:
        """By kind of process, e.g. ``probes``, the longest standstill in seconds that is known by now."""

    async def remove_dead(self) -> Sequence[str]:
        """Stop the remains of workloads that have died, and return them as ``namespace/name``.

        They can be started again.
        """

    async def apply(self, manifests: Sequence[Manifest]) -> None:
        """Create or replace resources of the mesh."""

    async def delete(self, manifests: Sequence[Manifest]) -> None:
        """Remove resources of the mesh; missing ones are no error."""

    def wire(
        self, client: Workload, server: Workload, port: str, hops: Sequence[ProxyHop] = ()
    ) -> AbstractAsyncContextManager[Wire]:
        """Record the traffic between two workloads while the block runs; with hops, on every leg."""

    async def diagnose(self, directory: Path) -> None:
        """Write logs and state of everything that runs into ``directory``, without any secret."""

    async def close(self) -> None:
        """Stop and remove everything that this platform created."""

    def __str__(self) -> str:
        """For headers and reports, e.g. ``local processes``."""


@runtime_checkable
class Distributed(Protocol):
    """A platform of several nodes."""

    def node_of(self, workload: Workload) -> str:
        """The name of the node of a workload."""

    def node_address(self, workload: Workload) -> str:
        """The address of the node of a workload."""

    async def insist_on_two_nodes(self) -> None:
        """Raise Unsupported unless two nodes accept workloads."""

    def wire_between_nodes(
        self, client: Workload, server: Workload, *, near_only: bool = False
    ) -> AbstractAsyncContextManager[Wire]:
        """Capture what the nodes of two workloads send each other while the block runs.

        With ``near_only`` on the client's node alone, so that the server's may restart.
        """

    async def host(self, workload: Workload) -> Workload:
        """A caller on the node of a workload, in the network of the node and not in that of a pod."""


@runtime_checkable
class Restarting(Protocol):
    """A platform whose nodes can be restarted."""

    async def insist_on_restarts(self) -> None:
        """Raise Unsupported unless a node can be restarted while another one works on."""

    async def restart_node(self, workload: Workload) -> tuple[Workload, Sequence[str]]:
        """Restart the node of a workload, and wait until the workload serves again.

        Returns:
            The workload as it is now, and the names of others that were stopped.
        """


@runtime_checkable
class Killing(Protocol):
    """A platform that needs help of its own to kill containers, such as a pod on the same node."""

    async def prepare_to_kill(self, workload: Workload) -> None:
        """Have that help at hand for the data plane of a workload; Inconclusive if there is none."""


@runtime_checkable
class Relabelling(Protocol):
    """A platform on which the labels of a running workload can be changed."""

    async def relabel(self, workload: Workload, other: WorkloadSpec) -> None:
        """Give a workload the labels by which network policies select another one.

        If that is in another namespace, also labels that claim this namespace.
        """


@runtime_checkable
class Replacing(Protocol):
    """A platform on which each instance of a workload can have its own data plane."""

    async def add_instance(self, workload: Workload, metadata: Metadata) -> Workload:
        """Start another instance of a workload; once it serves, clients are led to both."""

    async def drain(self, workload: Workload) -> None:
        """Stop leading clients to an instance that another instance replaces; it continues to serve."""

    async def remove_old(self, workload: Workload) -> None:
        """Stop an instance that was drained."""


@runtime_checkable
class Limited(Protocol):
    """A platform with limited room for workloads."""

    async def refuse_beyond(self, planned: Sequence[tuple[WorkloadSpec, Metadata]], processes: int) -> None:
        """Raise Inconclusive if there is no room for these workloads in each of ``processes`` processes of the run."""
