"""The workloads that checks use: each starts when first requested, and is replaced if it died."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from cryptography import x509

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.deployment import Deployment
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.stage import SHORTEST, STAGE, WHERE_LIFETIMES_ARE_ONE
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, FirstCall, WorkloadSpec
from pytest_meshcheck.platforms.base import Limited, Platform, Replacing

AT_ONCE = 4
"""The number of workloads that start in parallel: more would only delay those that are needed first."""


class Convergence(Protocol):
    """The waiting that workloads need, so that no policy affects one that is not to meet it."""

    async def before_call(self, caller: Workload | None, server: Workload, port: str) -> None:
        """Wait until a caller, or for None each of them, meets the policies in use and no others."""

    async def flush(self) -> None:
        """Delete policies that are no longer in use, and wait for that."""

    async def introduce(self, newcomer: Workload) -> None:
        """Wait until callers reach a new workload, and it reaches the others; it keeps who did not (``unreached``)."""


@dataclass(eq=False)
class Stage:
    """The workloads of one session.

    Attributes:
        adapter: The mesh.
        platform: The platform that they run on.
        steps: Seconds that each step of the start took, by name.
        roots_at_start: The roots that the mesh trusted when the data planes started.
        convergence: The waiting before calls and after starts; set before the first workload starts.
    """

    adapter: Mesh
    platform: Platform
    steps: dict[str, float] = field(default_factory=dict)
    roots_at_start: tuple[x509.Certificate, ...] = ()
    convergence: Convergence = field(init=False)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _started: dict[str, "asyncio.Task[Workload]"] = field(default_factory=dict)
    _deployed: dict[str, "asyncio.Task[Workload]"] = field(default_factory=dict)
    """The workloads that checks have deployed, by their name."""
    _ahead: "asyncio.Task[None] | None" = None

    @property
    def running(self) -> list[Workload]:
        """The workloads that run now, including those that checks have deployed."""
        return [*_ready(self._started.values()), *_ready(self._deployed.values())]

    @property
    def starting(self) -> bool:
        """Whether requested workloads do not run yet."""
        return any(not start.done() for start in (*self._started.values(), *self._deployed.values()))

    @property
    def enrolled(self) -> list[Workload]:
        """The enrolled workloads with a role; without those that checks have deployed, which are never restarted."""
        return [one for one in _ready(self._started.values()) if one.spec.enrolment is Enrolment.ENROLLED]

    @property
    def replacing(self) -> Replacing:
        """The platform, if it can replace instances of workloads; raises Inconclusive otherwise."""
        if not isinstance(self.platform, Replacing):
            raise Inconclusive(f"{self.platform} cannot replace workloads, so their data planes cannot follow")
        return self.platform

    def begin_ahead(self, roles: Iterable[str]) -> None:
        """Start these workloads in parallel, before checks request them."""
        if starts := [self._begun(role) for role in roles]:
            self._ahead = asyncio.ensure_future(self._all_of(starts))

    async def ask_for_room(self, roles: Iterable[str], processes: int) -> None:
        """Check that these workloads fit on the platform, before any starts.

        Raises:
            Inconclusive: They do not fit once per process of the run; says by how much, and how to mend that.
        """
        if isinstance(self.platform, Limited):
            specs = [self._spec(role) for role in dict.fromkeys(map(self._resolved, roles))]
            await self.platform.refuse_beyond([(spec, self.adapter.enrolment(spec)) for spec in specs], processes)

    async def workload(self, role: str) -> Workload:
        """A workload, started when first requested."""
        return await asyncio.shield(self._begun(role))

    @asynccontextmanager
    async def deploy(self, spec: WorkloadSpec, replicas: int = 1, *, reached: bool = True) -> AsyncIterator[Deployment]:
        """Workloads behind a service of their own, which are stopped when the block ends, however it ends.

        Raises:
            ValueError: The name is taken, or ``replicas`` is below 1.
            Inconclusive: One of them does not start or, if it has to be reached, is not.
        """
        async with self._running(self._replicas(spec, replicas), reached=reached) as workloads:
            yield Deployment(workloads)

    @asynccontextmanager
    async def deploy_together(self, specs: Sequence[WorkloadSpec]) -> AsyncIterator[tuple[Workload, ...]]:
        """Workloads with a service each, started side by side, which are stopped when the block ends, however it ends.

        Raises:
            ValueError: A name is taken.
            Inconclusive: One of them does not start, or is not reached.
        """
        placed = [one for spec in specs for one in self._replicas(spec, 1)]
        if len({one.service for one in placed}) < len(placed):
            raise ValueError(
                f"workloads that start together need names of their own, not {', '.join(map(str, placed))}"
            )
        async with self._running(placed) as workloads:
            yield workloads

    @asynccontextmanager
    async def _running(
        self, specs: Sequence[WorkloadSpec], *, reached: bool = True
    ) -> AsyncIterator[tuple[Workload, ...]]:
        """These workloads while the block runs, however it ends."""
        starts = [asyncio.ensure_future(self._start(spec)) for spec in specs]
        self._deployed |= {str(spec): start for spec, start in zip(specs, starts, strict=True)}
        try:
            started = tuple(await asyncio.gather(*starts))
            yield _reached(started) if reached else started
        except BaseException as error:
            try:
                await asyncio.shield(self._undeploy(specs))
            except Inconclusive as trouble:
                error.add_note(f"and {specs[0]} could not be removed: {trouble}")
            raise
        await asyncio.shield(self._undeploy(specs))

    @asynccontextmanager
    async def stranger(self, service: Workload) -> AsyncIterator[Workload]:
        """One more endpoint of a deployed service, outside the mesh, which is stopped when the block ends.

        Raises:
            Inconclusive: It does not start.
        """
        number = service.spec.replicas + 1
        spec = replace(service.spec, enrolment=Enrolment.UNENROLLED, replica=number, replicas=number)
        async with self._running([spec]) as (stranger,):
            yield stranger
        await self.adapter.settled()  # the service lives on, and data planes may still lead to this endpoint

    def placed(self, spec: WorkloadSpec) -> WorkloadSpec:
        """A specification with the platform's name of its namespace, and its lifetime in seconds."""
        shortest = self.adapter.documented.rotation.leaf_lifetime
        lifetime = shortest if spec.leaf_lifetime == SHORTEST else spec.leaf_lifetime
        namespace = self.platform.namespace(spec.namespace)
        return replace(spec, namespace=namespace, leaf_lifetime=lifetime)

    async def remove_dead(self) -> None:
        """Remove workloads that died, failed to start or are not reached; they start again when next requested."""
        unreached = [one for one in _ready(self._started.values()) if one.unreached]
        await asyncio.gather(*(self.platform.stop(one.spec) for one in unreached))
        gone = {*await self.platform.remove_dead(), *map(str, unreached)}
        for role, start in list(self._started.items()):
            if str(self._spec(role)) in gone or (start.done() and (start.cancelled() or start.exception())):
                del self._started[role]

    async def close(self) -> None:
        """Cancel starts; the platform stops the workloads that run."""
        tasks = [*self._started.values(), *self._deployed.values(), *([self._ahead] if self._ahead else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begun(self, role: str) -> "asyncio.Task[Workload]":
        role = self._resolved(role)
        if role not in self._started:
            self._started[role] = asyncio.ensure_future(self._start(self._spec(role)))
        return self._started[role]

    def _resolved(self, role: str) -> str:
        """The role whose workload serves for this one."""
        return WHERE_LIFETIMES_ARE_ONE.get(role, role) if self.adapter.one_lifetime else role

    async def _all_of(self, starts: Sequence["asyncio.Task[Workload]"]) -> None:
        """Measure how long it takes until all of them serve."""
        begun = time.monotonic()
        await asyncio.wait(starts)
        if not any(start.cancelled() or start.exception() for start in starts):
            self.steps["stage"] = time.monotonic() - begun

    def _spec(self, role: str) -> WorkloadSpec:
        spec = self.placed(STAGE[role].spec)
        if spec.placement is None:
            return spec
        return replace(spec, placement=replace(spec.placement, other=self.placed(spec.placement.other)))

    def _replicas(self, spec: WorkloadSpec, replicas: int) -> list[WorkloadSpec]:
        if replicas < 1:
            raise ValueError(f"{spec} cannot have {replicas} replicas: the least is 1")
        placed = self.placed(spec)
        if placed.service in {self.placed(one.spec).service for one in STAGE.values()} or str(placed) in self._deployed:
            raise ValueError(f"there is a workload {spec} already: give the new one another name")
        return [replace(placed, replica=number, replicas=replicas) for number in range(1, replicas + 1)]

    async def _undeploy(self, specs: Sequence[WorkloadSpec]) -> None:
        """Stop those that have started, once no policy is about them any more."""
        starts = [self._deployed.pop(str(spec)) for spec in specs]
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        try:
            await self.convergence.flush()
            await asyncio.gather(*(one.polls.close() for one in _ready(starts)))
        finally:
            ends = await asyncio.gather(*(self.platform.stop(spec) for spec in specs), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def _start(self, spec: WorkloadSpec) -> Workload:
        async with self._places:
            return await self._started_now(spec)

    async def _started_now(self, spec: WorkloadSpec) -> Workload:
        begun = time.monotonic()
        self.roots_at_start = self.roots_at_start or self.adapter.authority.roots
        if spec.first_call is not None:
            await self._before_first_call(spec.first_call)
        workload = await self.platform.start(spec, self.adapter.enrolment(spec))
        workload.before_call = self.convergence.before_call
        try:
            await self.adapter.settled()
            await self.convergence.introduce(workload)
        except Exception:
            await self.platform.stop(spec)  # it starts again when next requested
            raise
        self.steps[f"workload {spec}"] = time.monotonic() - begun
        return workload

    async def _before_first_call(self, call: FirstCall) -> None:
        """Wait until running callers meet no deleted policy: the new workload itself cannot be polled yet."""
        await self.convergence.flush()
        for server in (one for one in self.running if one.spec == call.server):
            await self.convergence.before_call(None, server, call.port)


def _reached(workloads: Sequence[Workload]) -> tuple[Workload, ...]:
    for one in workloads:
        if one.unreached:
            raise Inconclusive(one.unreached)
    return tuple(workloads)


def _ready(starts: Iterable["asyncio.Task[Workload]"]) -> list[Workload]:
    ended = [start for start in starts if start.done() and not start.cancelled()]
    return [start.result() for start in ended if start.exception() is None]
