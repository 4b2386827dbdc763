"""The mesh as a check sees it: policies, rotations, wire captures, and workloads."""

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography import x509

from pytest_meshcheck.checks.port_effects import PortEffects
from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.model.deployment import Deployment
from pytest_meshcheck.model.errors import Inconclusive, StillInEffect
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.observation import Exchange
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Distributed, Wire
from pytest_meshcheck.probe.process.own_loop import OwnLoop
from pytest_meshcheck.probe.protocol.messages import Credentials
from pytest_meshcheck.testbed.convergence.blocks import PolicyBlocks
from pytest_meshcheck.testbed.convergence.lifecycle import PolicyLifecycle
from pytest_meshcheck.testbed.disruptions import Disruptions
from pytest_meshcheck.testbed.early_calls import EarlyCalls, NotStarted
from pytest_meshcheck.testbed.evidence import Evidence
from pytest_meshcheck.testbed.head_starts import HeadStarts
from pytest_meshcheck.testbed.lock import MeshLock
from pytest_meshcheck.testbed.mesh_facts import MeshFacts
from pytest_meshcheck.testbed.peers import Peers
from pytest_meshcheck.testbed.reconnection import Reconnection
from pytest_meshcheck.testbed.rotation.rotations import Rotations
from pytest_meshcheck.testbed.stall_monitor import StallMonitor
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded
from pytest_meshcheck.testbed.workloads import Stage


@dataclass(repr=False)  # as that of MeshFacts
class MeshUnderTest(MeshFacts):
    """The value of the fixture ``mesh``.

    Attributes:
        steps: Seconds that each step of the start took, by name.
        may_disrupt: Whether policies and actions may affect workloads other than the suite's.
        upgraded: The observations made during an upgrade; None if there was none.
        lock: Held by processes that share the mesh; exclusively for actions on the whole mesh.
        loop: The event loop that it has to be used from.
        head_starts: The running head starts of checks.
        stage: The workloads.
        policies: Applies and deletes policies, and waits until they are in effect.
        evidence: Captures the state of the mesh if the current check finds a violation.
        peers: Workloads that speak TLS themselves.
        rotations: The rotations, and the restarts that they need.
        disruptions: Outages of parts of the mesh, and restarts of data planes.
        stalls: The stalls of the processes of the run.
    """

    steps: dict[str, float] = field(default_factory=dict)
    may_disrupt: bool = True
    upgraded: Upgraded | None = None
    lock: MeshLock = field(default_factory=MeshLock)
    loop: OwnLoop = field(default_factory=OwnLoop)
    head_starts: HeadStarts = field(default_factory=HeadStarts)
    stage: Stage = field(init=False)
    policies: PolicyLifecycle = field(init=False)
    evidence: Evidence = field(init=False)
    peers: Peers = field(init=False)
    rotations: Rotations = field(init=False)
    disruptions: Disruptions = field(init=False)
    stalls: StallMonitor = field(init=False)
    _blocks: PolicyBlocks = field(init=False)

    def __post_init__(self) -> None:
        self.stage = Stage(self.adapter, self.platform, self.steps)
        self.policies = self.stage.convergence = PolicyLifecycle(self.adapter, self.stage, self.scale)
        self.evidence = Evidence(self.adapter, self.stage)
        self.peers = Peers(self.adapter, self.platform)
        self.rotations = Rotations(self.adapter, self.stage, self.peers, self.scale)
        reconnection = Reconnection(self.adapter, self.stage, self.policies, self.lock, self.scale)
        self.disruptions = Disruptions(self.adapter, self.journal, self.evidence, self.policies.flush, reconnection)
        self.stalls = StallMonitor(self.platform)
        self._blocks = PolicyBlocks(self.policies, self.evidence, self.lock, self.may_disrupt)

    def begin_check(self, evidence: Path | None) -> None:
        """Reset everything that belongs to one check."""
        self.journal.begin()
        self.stalls.begin_check()
        self.measured, self.access, self.effective = {}, (), ()
        self.evidence.directory = evidence

    async def catch_up(self) -> None:
        """Bring this process up to date with what others of the run have done to the mesh.

        The order matters: only a process that knows the present roots can tell whether the control plane is ready, and
        data planes that cannot learn of them never follow it.

        Raises:
            Inconclusive: The control plane or a workload does not come back.
        """
        await self.stage.remove_dead()
        self.platform.forget_crashes()
        if self.lock.file is not None:
            await self.adapter.settled()
        await self.rotations.follow_roots()
        await self.disruptions.reconnection.catch_up()

    async def head_start(self, check_id: str) -> Any:
        """Wait for the end of a head start, and record its result as evidence of the current check."""
        begun = self.head_starts.of(check_id, self)
        try:
            result = await begun.task
        finally:
            self.stalls.reach_back(begun.since, begun.ended)
        self.journal.add("head start", check_id, result)
        return result

    def recall(self, seen: PortEffects) -> PortEffects:
        """Take the observations of a port, which were made for several checks, as evidence of the current one, too."""
        self.stalls.reach_back(seen.since)
        for call in seen.calls:
            self.journal.add("exchange", f"{call.caller} -> {seen.destination}", call.exchange)
        arrivals = {(one.stand_in, one.attempt) for call in seen.calls for one in call.arrivals}
        for name in sorted({name for name, _ in arrivals}):
            self.journal.add("attempts", name, tuple(attempt for at, attempt in arrivals if at == name))
        return seen

    def of_upgrade(self) -> Upgraded:
        """The observations made during the upgrade, recorded as evidence of the current check.

        Raises:
            Inconclusive: There was none.
        """
        if self.upgraded is None:
            raise Inconclusive("the mesh was not upgraded: ask for it with --mesh-upgrade-to=VERSION")
        self.stalls.reach_back(self.upgraded.begun)
        self.journal.entries += self.upgraded.journal
        outcome = replace(self.upgraded, journal=(), decisions=())  # the journal has the calls of the decisions
        self.journal.add("upgrade", f"{outcome.before} -> {outcome.after}", outcome)
        return self.upgraded

    async def workload(self, role: str, *, reached: bool = True) -> Workload:
        """A workload of the stage, started when it is first asked for.

        Raises:
            Inconclusive: It does not start, or with ``reached`` some data plane did not come to reach another.
            WrongLoop: This is another event loop than the session's.
        """
        self.loop.insist()
        found = await self.stage.workload(role)
        if reached and found.unreached:
            raise Inconclusive(found.unreached)
        return found

    @asynccontextmanager
    async def deploy(self, spec: WorkloadSpec, replicas: int = 1, *, reached: bool = True) -> AsyncIterator[Deployment]:
        """Workloads of the check's own behind one service while the block runs; removed however it ends.

        A rotation does not restart them, and a workload outside the mesh calls the endpoint that it names.

        Args:
            spec: The first of them, in a plain namespace such as ``blue``, under a name that the stage does not use.
            replicas: How many endpoints the service has.
            reached: False in a check for which it is a finding if callers do not reach them.

        Raises:
            ValueError: The name is taken, or ``replicas`` is below 1.
            Inconclusive: One of them does not start or, unless that is a finding, is not reached.
            WrongLoop: This is another event loop than the session's.
        """
        self.loop.insist()
        async with (
            self.stage.deploy(spec, replicas, reached=reached) as deployed,
            self.evidence.captured(),
        ):
            yield deployed

    @asynccontextmanager
    async def deploy_together(self, *specs: WorkloadSpec) -> AsyncIterator[tuple[Workload, ...]]:
        """Several workloads of the check's own that start side by side, each behind a service of its own.

        As ``deploy`` in all else.

        Raises:
            ValueError: A name is taken.
            Inconclusive: One of them does not start.
            WrongLoop: This is another event loop than the session's.
        """
        self.loop.insist()
        async with self.stage.deploy_together(specs) as deployed, self.evidence.captured():
            yield deployed

    @asynccontextmanager
    async def deploy_called(
        self, spec: WorkloadSpec, caller: Workload, rate: float, port: str = "http", **request: Any
    ) -> AsyncIterator[tuple[Workload, Load]]:
        """A workload of the check's own that a caller outside the mesh calls from the moment it has an address.

        The load, of ``rate`` requests per second, goes on until the block ends, and is joined then.

        Raises:
            ValueError: The name is taken.
            NotStarted: It does not start; with what became of the calls.
            WrongLoop: This is another event loop than the session's.
        """
        calls, placed = EarlyCalls(self.platform, caller, port, rate, request), self.stage.placed(spec)
        calling = asyncio.ensure_future(calls.begin(placed))
        try:
            async with AsyncExitStack() as until_ended:
                try:
                    deployed = await until_ended.enter_async_context(self.deploy(spec))
                except Inconclusive as trouble:
                    raise NotStarted(str(trouble), await calls.end(calling, placed)) from trouble
                until_ended.push_async_callback(calls.end, calling, placed)  # before the workload's ledger is gone
                load = await calling
                load.servers.append(deployed.service)
                yield deployed.service, load
        finally:
            await calls.end(calling, placed)

    def termination(self, workload: Workload) -> AbstractAsyncContextManager[None]:
        """Have a deployed workload be in its grace period while the block runs; its application goes on.

        No request is routed to it any more, and its data plane drains. Nothing brings it back.

        Raises:
            Inconclusive: It does not begin to end, or has ended before the block.
        """
        return self.platform.termination(workload)

    async def finish(self, workload: Workload) -> str:
        """Have the application of a deployed job end by itself, with exit code 0, and its workload with it.

        Returns:
            What of the workload has not ended in the documented time; empty if all has.

        Raises:
            Inconclusive: Its application does not end so.
        """
        begun, within = time.monotonic(), self.documented.lifecycle.job_ends_within + self.tolerance
        with self.journal.action("job ends", str(workload)):
            left = await self.platform.finish(workload, within)
        self.measure("job ended after (s)", round(time.monotonic() - begun, 3))
        return left

    @asynccontextmanager
    async def stranger(self, service: Workload) -> AsyncIterator[Workload]:
        """One more endpoint behind the service of a deployed workload, outside the mesh, while the block runs.

        Raises:
            Inconclusive: It does not start.
            WrongLoop: This is another event loop than the session's.
        """
        self.loop.insist()
        async with self.stage.stranger(service) as stranger:
            yield stranger

    @asynccontextmanager
    async def policy(self, *policies: Policy) -> AsyncIterator[None]:
        """Policies that are in effect while the block runs, and no longer after it (``convergence.lifecycle``).

        Raises:
            Unsupported: The mesh cannot express one of them, or it would affect workloads of other people.
            Inconclusive: A data plane rejects them, or a deleted policy is still in effect.
            WrongLoop: This is another event loop than the session's.
        """
        self.loop.insist()
        async with self._blocks.block(policies):
            yield

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Rotate leaves, the issuer, or a root; ``lifetime`` is that of a new issuer, in seconds.

        Workloads are restarted if their data planes learn of roots in no other way; loads continue meanwhile. If
        ``settled`` is exact, every data plane has the result then. Otherwise this waits until a second root is trusted,
        or until no leaf needs the first one, and the check waits for anything else.
        """
        self.loop.insist()
        await self.policies.flush()
        if what.changes_roots and not self.documented.rotation.roots_reach_running:
            # The control plane is restarted, and certificates of other processes may have expired meanwhile.
            self.disruptions.reconnection.note_outage()
        with self.journal.action("rotating", str(what)):
            await self.rotations.rotate(what, lifetime)

    async def tls_request(
        self, caller: Workload, server: Workload, credentials: Credentials | None, port: str = "http", **how: Any
    ) -> Exchange:
        """A request over a TLS connection of the caller's own, made straight to the server's data plane.

        Over gRPC it is a call with an empty message. Keywords are ``headers``, further fields of a ``request``, and the
        fields of ``ClientTls``.
        """
        return await self.peers.tls_request(caller, server, credentials, port, **how)

    async def lingering_policy(self) -> str:
        """What deleted policies about servers still do after the documented time; empty once they are out of effect."""
        try:
            await self.policies.flush()
        except StillInEffect as why:
            return str(why)
        return ""

    async def until_refused(self, what: str, call: Callable[[], Awaitable[Exchange]], within: float) -> Exchange:
        """Repeat a call for at most ``within`` seconds, until several in a row are refused; return the last one.

        The seconds until the first of these are recorded as a measurement of ``what``.
        """
        last, seconds = await self.peers.until_refused(call, within)
        self.measure(f"{what} refused after (s)", round(seconds, 3))
        return last

    async def handshake(self, caller: Workload, server: Workload, port: str = "http") -> Exchange:
        """A TLS handshake without a certificate, straight to the server's data plane; the result has its chain."""
        return await self.peers.handshake(caller, server, port)

    async def served_chain(self, caller: Workload, server: Workload) -> tuple[x509.Certificate, ...]:
        """The certificates that a workload's data plane presents to a new TLS connection, leaf first.

        Raises:
            Inconclusive: It shows none.
        """
        return (await self.peers.shown_chain(caller, server))[0]

    async def shown_chain(
        self, caller: Workload, server: Workload
    ) -> tuple[tuple[x509.Certificate, ...], datetime.datetime]:
        """The same, with the start of the handshake by the clock of the caller's machine.

        Raises:
            Inconclusive: It shows none.
        """
        return await self.peers.shown_chain(caller, server)

    async def impersonate(self, impostor: Workload, credentials: Credentials, port: str = "http") -> None:
        """Have the impostor speak TLS with this certificate from now on, and accept tunnels if data planes do."""
        await self.peers.impersonate(impostor, credentials, port)

    @asynccontextmanager
    async def wire(
        self, client: Workload, server: Workload, port: str = "http", via: Via = Via.SERVICE
    ) -> AsyncIterator[Wire]:
        """Capture the traffic between two workloads while the block runs; a proxy of the service forwards its calls."""
        await self.policies.before_call(client, server, port)
        hops = self.adapter.hops(client.spec) if via is Via.SERVICE else ()
        async with self.platform.wire(client, server, port, hops) as wire:
            await self.adapter.settled()
            yield wire
        await self.adapter.settled()

    @asynccontextmanager
    async def wire_between_nodes(
        self, client: Workload, server: Workload, *, near_only: bool = False
    ) -> AsyncIterator[Wire]:
        """Capture what the nodes of two workloads send each other while the block runs.

        With ``near_only`` it is captured on the client's node alone, so that the server's may restart.

        Raises:
            Inconclusive: The platform has no nodes, or both workloads run on one.
        """
        if not isinstance(self.platform, Distributed):
            raise Inconclusive(f"{self.platform} has no nodes with a network between them")
        async with self.platform.wire_between_nodes(client, server, near_only=near_only) as wire:
            yield wire

    async def close(self) -> None:
        """Stop the workloads, and uninstall the mesh if only this process uses it."""
        self.stalls.pulse.end()
        await asyncio.gather(self.stage.close(), self.head_starts.close())
        try:
            if self.lock.file is None:
                await self.adapter.uninstall()
        finally:
            await self.platform.close()
