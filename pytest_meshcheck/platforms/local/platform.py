"""Workloads as local processes: no cluster, no container, no root; all traffic on loopback."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol as TypingProtocol, TypeVar

import pytest_meshcheck
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.redaction import redacted
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Address, Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Interval, Manifest, Metadata, Stall, Stop, Wire
from pytest_meshcheck.platforms.children import Child, spawn
from pytest_meshcheck.platforms.local.addresses import AddressPlan, Member, endpoints_by_service, next_number
from pytest_meshcheck.platforms.recording import RecordedWire, Recording
from pytest_meshcheck.platforms.run_directory import RunDirectory
from pytest_meshcheck.platforms.stalls import WatchedChildren, felt
from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.protocol import messages as m

SIDECAR_LABEL = "meshcheck.dev/sidecar"
"""``true``: the probe listens behind a sidecar that the mesh starts when the workload is admitted."""

PROBE = (sys.executable, "-P", "-m", "pytest_meshcheck.probe")
"""The command that starts a probe."""

RECORDER = "wire recorder"
R = TypeVar("R")
ResourceKey = tuple[str, str, str]
"""Kind, namespace, name."""


class ControlPlane(TypingProtocol):
    """A mesh of local processes as the platform notifies it; it registers itself as ``Processes.control_plane``.

    Each of these returns when the change is published; ``settled`` tells when the data planes have it.
    """

    async def admit(self, member: Member) -> None:
        """A workload starts: start what belongs to it, and wait until it can be reached and can reach others."""

    async def dismiss(self, member: Member) -> None:
        """A workload has stopped: stop what belonged to it."""

    async def changed(self) -> None:
        """Resources, or the addresses of endpoints, have changed."""

    async def settled(self) -> None:
        """Wait until every data plane has what was published."""


class Processes:
    """The platform of local processes.

    Attributes:
        journal: Where workloads record their observations.
        resources: The mesh's resources that are applied now.
        members: The workloads that run now, by ``namespace/name``.
        control_plane: The mesh that wants to know of changes; None: there is none.
    """

    def __init__(self, journal: Journal, directory: Path | None = None, timeout_scale: float = 1.0) -> None:
        """Reserve addresses and make the run directory, in ``directory`` or where temporary files go.

        Raises:
            OSError: There is no address, no port or no place; says what to do.
        """
        self.journal = journal
        self.timeout_scale = timeout_scale
        self.resources: dict[ResourceKey, Manifest] = {}
        self.members: dict[str, Member] = {}
        self.control_plane: ControlPlane | None = None
        self.plan = AddressPlan.reserve()
        self._run = RunDirectory(directory)
        self._children: list[Child] = []
        self._probes: dict[str, Child] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._last_number = 0
        self._recordings: dict[tuple[str, str], Recording] = {}
        self._recorder: asyncio.Task[Probe] | None = None
        self._controls: dict[Child, Probe] = {}
        self._longest_of_probes = 0.0
        self._watched = WatchedChildren(lambda: [one for one in self._children if one not in self._controls])

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

        A feigned workload serves nothing yet: ``serve`` opens its ports.

        Raises:
            ValueError: One of that name runs already.
            Inconclusive: It does not start.
        """
        self.check()
        member = self._enter(spec, metadata)
        try:
            probe = await _beside(self._start_probe(f"probe of {spec}", str(spec)), self._admit(member))
            workload = Workload(spec, probe, self.journal, self.resolve, str(spec), 10.0 * self.timeout_scale)
            if spec.enrolment is not Enrolment.FEIGNED:
                await self._serve(workload, [self._listen(member, port.name) for port in spec.ports])
        except BaseException as error:
            try:
                if isinstance(error, Inconclusive):
                    await self.vouch()  # how a process of it died says more than that it is gone
            finally:
                await self._leave(str(spec))
            raise
        return workload

    async def serve(self, workload: Workload, port: str, tls: m.ServerTls | None = None) -> None:
        """Open one declared port of a feigned workload, with TLS of its own where ``tls`` is given."""
        await self._serve(workload, [self._listen(self.members[str(workload)], port, tls)])

    async def stop(self, spec: WorkloadSpec) -> None:
        """Stop a workload with all that belongs to it; one that is stopped already is no error."""
        await self._leave(str(spec))

    async def vouch(self) -> None:
        """Raise Inconclusive if a process of this run has died, even if what it did is seen before its end is."""
        await self._notice_ends()
        self.check()

    async def stalls(self, interval: Interval) -> Sequence[Stall]:
        """For how long each probe could not react, and each sidecar was stopped; and who ran out of files."""
        probes = await asyncio.gather(*(felt(child.name, probe, interval) for child, probe in self._controls.items()))
        return [*probes, *self._watched.over(interval)]

    def longest_stalls(self) -> Mapping[str, float]:
        """The longest standstill in seconds of the probes, and of the sidecars."""
        longest = max((probe.longest for probe in self._controls.values()), default=0.0)
        return {"probes": max(longest, self._longest_of_probes), "sidecars": self._watched.longest}

    async def clear_dead(self) -> Sequence[str]:
        """Stop the remains of workloads that lost their probe or sidecar; returns them as ``namespace/name``."""
        await self._notice_ends()
        dead = [child for child in self._children if child.lost]
        names = sorted({child.name.partition(" of ")[2] for child in dead} & self.members.keys())
        for name in names:
            await self._leave(name)
        for child in dead:
            if child.name == RECORDER:
                await self.discard(child)
                self._recorder = None
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
        recording = self._recordings.get((str(server), port))
        if recording is not None and recording.client == str(client):
            return server.recorder(port)
        return server.data_plane(port)

    def wire(
        self, client: Workload, server: Workload, port: str, stops: Sequence[Stop] = ()
    ) -> AbstractAsyncContextManager[Wire]:
        """Record the traffic between two data planes, on new connections, while the block runs.

        Raises:
            ValueError: Local processes have no proxies in between.
        """
        if stops:
            raise ValueError(f"{stops[0].name} is no local process: leave it out of the way that is recorded")
        return self._wire(client, server, port)

    def check(self) -> None:
        """Raise Inconclusive if a process of this run has died; says which, how, and the end of its log."""
        for child in self._children:
            child.check()

    async def spawn(self, name: str, argv: Sequence[str], *, cwd: Path | None = None, pipes: bool = False) -> Child:
        """Start a process that dies with this one, for a mesh's own use; its log is kept in the run directory."""
        log = self.directory / f"{name.replace(' ', '-').replace('/', '.')}.log"
        child = await spawn(name, argv, log, env=_environment(), cwd=cwd or self.directory, pipes=pipes)
        self._children.append(child)
        self._watched.begin()
        return child

    async def discard(self, child: Child) -> None:
        """Stop a process and forget it."""
        await child.stop()
        if child in self._children:
            self._children.remove(child)
        if probe := self._controls.pop(child, None):
            self._longest_of_probes = max(self._longest_of_probes, probe.longest)

    async def diagnose(self, directory: Path) -> None:
        """Copy the logs of everything that runs."""
        _copy_logs(self.directory, directory)

    async def close(self) -> None:
        """Kill every process, remove the run directory and give the addresses back."""
        self._watched.end()
        if self._recorder is not None:
            self._recorder.cancel()
        await asyncio.gather(*self._leaving.values(), return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self._children))
        self._children.clear()
        self._probes.clear()
        self.members.clear()
        self._run.close()
        self.plan.close()

    async def _notice_ends(self) -> None:
        await asyncio.gather(*(child.process.wait() for child in self._children if child.ending))

    def _enter(self, spec: WorkloadSpec, metadata: Metadata) -> Member:
        if str(spec) in self.members:
            raise ValueError(f"{spec} runs already: stop it first, or give the new workload another name")
        self._last_number = next_number(self._last_number, (member.number for member in self.members.values()))
        member = Member(spec, self._last_number, metadata.labels.get(SIDECAR_LABEL) == "true", self.plan)
        self.members[str(spec)] = member
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

    async def _admit(self, member: Member) -> None:
        if self.control_plane is not None:
            await self.control_plane.admit(member)

    async def _changed(self) -> None:
        if self.control_plane is not None:
            await self.control_plane.changed()

    async def _start_probe(self, name: str, of: str) -> Probe:
        child = self._probes[of] = await self.spawn(name, PROBE, pipes=True)
        if child.process.stdin is None or child.process.stdout is None:
            raise Inconclusive(f"the {name} has no pipes")
        probe = Probe.over(child.process.stdin, child.process.stdout)
        child.reader = probe.close
        self._controls[child] = probe
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

    @asynccontextmanager
    async def _wire(self, client: Workload, server: Workload, port: str) -> AsyncIterator[Wire]:
        self.check()
        target = self.members[str(server)]
        key = str(server), port
        if key in self._recordings:
            raise ValueError(f"port {port} of {server} is being recorded already: leave that block first")
        if self._recorder is None:
            self._recorder = asyncio.create_task(self._start_probe(RECORDER, "recorder"))
        recording = Recording(str(client), str(server), port, await self._recorder)
        await recording.begin(target.recorder(port), target.data_plane(port))
        self._recordings[key] = recording
        try:
            await self._rerouted()
            yield RecordedWire(recording, self.journal)
        finally:
            del self._recordings[key]
            await self._rerouted()
            await recording.end()

    async def _rerouted(self) -> None:
        if self.control_plane is not None:
            await self.control_plane.changed()
            await self.control_plane.settled()


async def _beside(first: Coroutine[Any, Any, R], second: Coroutine[Any, Any, None]) -> R:
    """What the first one returns once both have ended; where one fails, the other is not left to go on by itself."""
    tasks = asyncio.create_task(first), asyncio.create_task(second)
    try:
        return (await asyncio.gather(*tasks))[0]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _copy_logs(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in source.glob("*.log"):
        (target / log.name).write_text(redacted(log.read_text(encoding="utf-8", errors="replace")), "utf-8")


def _key(manifest: Manifest) -> ResourceKey:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["namespace"], metadata["name"]


def _environment() -> dict[str, str]:
    """This process's environment, without proxies: traffic that is measured takes no detour."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    package = str(Path(pytest_meshcheck.__file__).parent.parent)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (package, kept.get("PYTHONPATH"))))
    return kept
