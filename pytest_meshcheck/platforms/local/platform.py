"""Workloads as local processes: no cluster, no container, no root; all traffic on loopback."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import PATIENCE, Workload, first_request
from pytest_meshcheck.model.workload_spec import Address, Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Interval, Manifest, Metadata, ProxyHop, Stall, Wire
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.platforms.last_words import last_words
from pytest_meshcheck.platforms.local.addresses import AddressPlan, Member, endpoints_by_service, next_number
from pytest_meshcheck.platforms.local.control_plane import SIDECAR_LABEL, ControlPlane
from pytest_meshcheck.platforms.local.process_table import ProcessTable
from pytest_meshcheck.platforms.local.wires import Wires
from pytest_meshcheck.platforms.run_directory import RunDirectory
from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.protocol import messages as m

R = TypeVar("R")
ResourceKey = tuple[str, str, str]
"""Kind, namespace, name."""


class Processes:
    """The platform of local processes.

    Attributes:
        journal: Where workloads record their observations.
        resources: The mesh's resources that are applied now.
        members: The workloads that run now, by ``namespace/name``.
        control_plane: The mesh that wants to know of changes; None: there is none.
        processes: All processes of the run.
    """

    def __init__(self, journal: Journal, directory: Path | None = None, timeout_scale: float = 1.0) -> None:
        """Reserve addresses and make the run directory, in ``directory`` or where temporary files go.

        Raises:
            OSError: There is no address, port or place left; the message has the next step.
        """
        self.journal = journal
        self.timeout_scale = timeout_scale
        self.resources: dict[ResourceKey, Manifest] = {}
        self.members: dict[str, Member] = {}
        self.control_plane: ControlPlane | None = None
        self.plan = AddressPlan.reserve()
        self._run = RunDirectory(directory)
        self.processes = ProcessTable(self._run.path)
        self._wires = Wires(self.processes, journal, self._changed)
        self._probes: dict[str, Child] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._last_number = 0
        self._entered = asyncio.Event()
        """Set, and replaced by another, when a start begins."""

    @property
    def directory(self) -> Path:
        """The run directory; it is gone after ``close``."""
        return self._run.path

    def socket(self, name: str) -> Path:
        """The path by which this process reaches a Unix socket in the run directory, however long that one's is."""
        return self._run.socket(name)

    def __str__(self) -> str:
        return "local processes"

    def namespace(self, plain: str) -> str:
        """The plain name: nothing else is called so."""
        return plain

    async def start(self, spec: WorkloadSpec, metadata: Metadata) -> Workload:
        """Start a workload and wait until it serves, and until the mesh has admitted it.

        An impersonated workload serves nothing yet: ``serve`` opens its ports.

        Raises:
            ValueError: One of that name runs already.
            Inconclusive: It does not start.
        """
        self.check()
        member = self._enter(spec, metadata)
        try:
            workload = await self._admitted(member)
        except BaseException as error:
            try:
                if isinstance(error, Inconclusive):
                    await self.ensure_alive()  # how a process of it died says more than that it is gone
            finally:
                await self._leave(str(spec))
            raise
        return workload

    async def serve(self, workload: Workload, port: str, tls: m.ServerTls | None = None) -> None:
        """Open one declared port of an impersonated workload, with TLS of its own where ``tls`` is given."""
        await self._serve(workload, [self._listen(self.members[str(workload)], port, tls)])

    async def address_of(self, spec: WorkloadSpec, port: str) -> Address:
        """Where others reach a port of a workload, as soon as its start has begun."""
        while str(spec) not in self.members:
            await self._entered.wait()
        return self.members[str(spec)].data_plane(port)

    @asynccontextmanager
    async def termination(self, workload: Workload) -> AsyncIterator[None]:
        """Have the data plane of a workload drain; the probe goes on."""
        if self.control_plane is not None:
            await self.control_plane.retire(self.members[str(workload)])
        yield

    async def finish(self, workload: Workload, within: float) -> str:
        """End the probe of a job, and have the mesh drain and stop what belongs to it; returns what still runs.

        Raises:
            Inconclusive: The probe ends with another exit code than 0.
        """
        name = str(workload)
        await _end_by_itself(self._probes[name], workload.probe)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                if self.control_plane is not None:
                    await self.control_plane.retire(self.members[name])
                await self._leave(name)
        return ", ".join(self.processes.alive_of(name))

    async def stop(self, spec: WorkloadSpec) -> None:
        """Stop a workload with all that belongs to it; one that is stopped already is no error."""
        await self._leave(str(spec))

    async def ensure_alive(self) -> None:
        """Raise Inconclusive if a process of this run has died, even if its effects are seen before its end."""
        await self.processes.ensure_alive()

    async def crashes(self) -> Sequence[str]:
        """How each sidecar ended that crashed since ``forget_crashes``."""
        return await self.processes.crashed()

    def forget_crashes(self) -> None:
        """Forget the crashes of sidecars that are gone, and were reported."""
        self.processes.crashes.forget_reported()

    async def stalls(self, interval: Interval) -> Sequence[Stall]:
        """For how long each probe could not react, and each sidecar was stopped; and who ran out of files."""
        return await self.processes.stalls(interval)

    def longest_stalls(self) -> Mapping[str, float]:
        """The longest standstill in seconds of the probes, and of the sidecars."""
        return self.processes.longest_stalls()

    async def remove_dead(self) -> Sequence[str]:
        """Stop the remains of workloads that lost their probe or sidecar; returns them as ``namespace/name``."""
        await self.processes.notice_ends()
        dead = {child.name.partition(" of ")[2] for child in self.processes.children if child.lost}
        names = sorted(dead & self.members.keys())
        for name in names:
            await self._leave(name)
        await self._wires.discard_dead()
        return names

    async def apply(self, manifests: Sequence[Manifest]) -> None:
        """Create or replace resources of the mesh; of two for the same thing, the last applied wins."""
        self.check()
        for manifest in manifests:
            self.resources.pop(_key(manifest), None)
            self.resources[_key(manifest)] = manifest
        await self._changed()

    async def delete(self, manifests: Sequence[Manifest]) -> None:
        """Remove resources of the mesh; those that are gone already are no error."""
        for manifest in manifests:
            self.resources.pop(_key(manifest), None)
        await self._changed()

    def resolve(self, client: WorkloadSpec, server: WorkloadSpec, port: str, via: Via) -> Address:
        """Where a client dials; both ways of addressing lead to the same place.

        That is the service where the client has a sidecar, which chooses the endpoint, and the very server where not.
        """
        caller, target = self.members[str(client)], self.members[str(server)]
        if caller.sidecar:
            return caller.outbound(endpoints_by_service(self.members.values())[target.spec.service][0], port)
        return self.endpoint_address(caller, target, port)

    def endpoint_address(self, client: Member, server: Member, port: str) -> Address:
        """Where connections from a client's data plane to a server go: to a recorder while there is one."""
        if self._wires.records(str(client), str(server), port):
            return server.recorder(port)
        return server.data_plane(port)

    def wire(
        self, client: Workload, server: Workload, port: str, hops: Sequence[ProxyHop] = ()
    ) -> AbstractAsyncContextManager[Wire]:
        """Record the traffic between two data planes, on new connections, while the block runs.

        Raises:
            ValueError: Local processes have no proxies in between.
        """
        if hops:
            raise ValueError(f"{hops[0].name} is not a local process: leave it out of the recorded path")
        self.check()
        return self._wires.wire(str(client), self.members[str(server)], port)

    def check(self) -> None:
        """Raise Inconclusive if a process of this run has died; the message names it, the cause and its log's end."""
        self.processes.check()

    async def spawn(self, name: str, argv: Sequence[str], *, cwd: Path | None = None, pipes: bool = False) -> Child:
        """Start a process that dies with this one, for a mesh's own use; its log is kept in the run directory."""
        return await self.processes.spawn(name, argv, cwd=cwd, pipes=pipes)

    async def discard(self, child: Child) -> None:
        """Stop a process and forget it."""
        await self.processes.discard(child)

    async def diagnose(self, directory: Path) -> None:
        """Copy the logs of everything that runs."""
        self.processes.copy_logs(directory)

    async def close(self) -> None:
        """Kill every process, remove the run directory and give the addresses back."""
        self.processes.end_watch()
        self._wires.close()
        await asyncio.gather(*self._leaving.values(), return_exceptions=True)
        await self.processes.close()
        self._probes.clear()
        self.members.clear()
        self._run.close()
        self.plan.close()

    def _enter(self, spec: WorkloadSpec, metadata: Metadata) -> Member:
        if str(spec) in self.members:
            raise ValueError(f"{spec} runs already: stop it first, or give the new workload another name")
        self._last_number = next_number(self._last_number, (member.number for member in self.members.values()))
        member = Member(spec, self._last_number, metadata.labels.get(SIDECAR_LABEL) == "true", self.plan)
        self.members[str(spec)] = member
        self._entered.set()
        self._entered = asyncio.Event()
        return member

    async def _leave(self, name: str) -> None:
        """Stop all that belongs to a workload, which goes on where whoever waits for it is cancelled."""
        if name not in self._leaving:
            self._leaving[name] = leaving = asyncio.create_task(self._end(name))
            leaving.add_done_callback(lambda _: self._leaving.pop(name))
        await asyncio.shield(self._leaving[name])

    async def _end(self, name: str) -> None:
        member = self.members.pop(name, None)
        child = self._probes.pop(name, None)
        if child is not None:
            await self.discard(child)
        if member is not None and self.control_plane is not None:
            await self.control_plane.dismiss(member)

    async def _admitted(self, member: Member) -> Workload:
        """A workload, which starts while the mesh admits it, or afterwards if it calls at once."""
        first = first_request(member.spec, self.resolve, self._patience)
        if first is None:
            return await _together(self._begin(member), self._admit(member))
        await self._admit(member)
        return await self._begin(member, first)

    async def _begin(self, member: Member, first: m.Request | None = None) -> Workload:
        """Start the probe of a workload, which serves as soon as it runs, unless a check impersonates it."""
        spec = member.spec
        probe = await self._start_probe(spec, first)
        workload = Workload(spec, probe, self.journal, self.resolve, str(spec), self._patience)
        if spec.enrolment is not Enrolment.IMPERSONATED:
            await self._serve(workload, [self._listen(member, port.name) for port in spec.ports])
        return workload

    @property
    def _patience(self) -> float:
        return PATIENCE * self.timeout_scale

    async def _admit(self, member: Member) -> None:
        if self.control_plane is not None:
            await self.control_plane.admit(member)

    async def _changed(self) -> None:
        if self.control_plane is not None:
            await self.control_plane.changed()

    async def _start_probe(self, spec: WorkloadSpec, first: m.Request | None = None) -> Probe:
        child, probe = await self.processes.start_probe(f"probe of {spec}", first)
        self._probes[str(spec)] = child
        return probe

    def _listen(self, member: Member, port: str, tls: m.ServerTls | None = None) -> m.Listen:
        declared = member.spec.port(port)
        return m.Listen(
            port=port,
            address=member.application(port),
            protocol=declared.protocol,
            server_first=declared.server_first,
            tls=tls,
        )

    async def _serve(self, workload: Workload, ports: Sequence[m.Listen]) -> None:
        await workload.ask(m.Serve(instance=workload.instance, ports=tuple(ports)), m.Done)


async def _together(first: Coroutine[Any, Any, R], second: Coroutine[Any, Any, None]) -> R:
    """What the first one returns once both have ended; where one fails, the other is not left to go on by itself."""
    tasks = asyncio.create_task(first), asyncio.create_task(second)
    try:
        return (await asyncio.gather(*tasks))[0]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _end_by_itself(child: Child, probe: Probe) -> None:
    child.retire()
    await probe.close()
    if code := await child.process.wait():
        raise Inconclusive(f"the {child.name} ended with exit code {code} in place of 0; {last_words(child.said())}")


def _key(manifest: Manifest) -> ResourceKey:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["namespace"], metadata["name"]
