"""The mesh as a check sees it: policies that undo themselves, rotations, the wire, and the workloads of the stage."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.verdict import Time, Violation
from pytest_meshcheck.meshes.base import Documented, Mesh, Rotation, TlsEndpoint, meets_impostors, stops_of
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import Attempt, Exchange
from pytest_meshcheck.model.pki import Authority, parsed_chain
from pytest_meshcheck.model.policy import MutualTls, Policy, RequestsPerConnection, WholeMesh
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Platform, Wire
from pytest_meshcheck.probe.process.own_loop import OwnLoop
from pytest_meshcheck.probe.process.pulse import now
from pytest_meshcheck.probe.protocol.messages import Credentials
from pytest_meshcheck.testbed.convergence import Question
from pytest_meshcheck.testbed.lock import Turns
from pytest_meshcheck.testbed.peers import Peers
from pytest_meshcheck.testbed.policies import Changes
from pytest_meshcheck.testbed.rotation import Rotations
from pytest_meshcheck.testbed.standstill import Standstills
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded
from pytest_meshcheck.testbed.workloads import Stage

TOLERANCE = 1.0
"""Time limits are proven by the order of events; this bound only has to tell "cut" from "not cut"."""


@dataclass
class MeshUnderTest:
    """What the fixture ``mesh`` is.

    Attributes:
        adapter: The mesh's adapter.
        platform: Where it runs.
        scale: What every patience and tolerance is multiplied by (``--mesh-timeout-scale``).
        steps: What took how many seconds to start.
        evidence: Where the state of the mesh is kept when the check that runs now finds a violation.
        measured: What the check that runs now observed along the way.
        early: The head starts under way, by the id of their check.
        may_disrupt: Whether what reaches beyond the stage is allowed.
        upgraded: What was seen while the mesh was moved to the version that it has now; None: it was not.
        turns: Keeps what touches the whole mesh apart from other processes that use the same mesh.
        changes: The policies.
        stage: The workloads.
        peers: Those that speak TLS by themselves.
        rotations: What has to follow them.
        loop: Where it has to be used from.
        standstills: The pulse of the processes that judge and are judged.
    """

    adapter: Mesh
    platform: Platform
    scale: float = 1.0
    steps: dict[str, float] = field(default_factory=dict)
    evidence: Path | None = None
    measured: dict[str, float | int | str] = field(default_factory=dict)
    early: dict[str, "asyncio.Task[Any]"] = field(default_factory=dict)
    may_disrupt: bool = True
    turns: Turns = field(default_factory=Turns)
    upgraded: Upgraded | None = None
    stage: Stage = field(init=False)
    changes: Changes = field(init=False)
    peers: Peers = field(init=False)
    rotations: Rotations = field(init=False)
    loop: OwnLoop = field(default_factory=OwnLoop)
    standstills: Standstills = field(init=False)
    _early_since: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.standstills = Standstills(self.platform)
        self.stage = Stage(self.adapter, self.platform, self._before_call, self._quiet, self.scale, self.steps)
        self.changes = Changes(self.adapter, self.stage, self.scale)
        self.peers = Peers(self.adapter, self.platform)
        self.rotations = Rotations(self.adapter, self.stage, self.peers, self.scale)

    @property
    def journal(self) -> Journal:
        """What happened during the check that runs now."""
        return self.platform.journal

    @property
    def documented(self) -> Documented:
        """What the mesh's documentation promises."""
        return self.adapter.documented

    @property
    def authority(self) -> Authority:
        """The authority that the mesh takes its certificates from."""
        return self.adapter.authority

    @property
    def tolerance(self) -> float:
        """Seconds by which an end may come late on a machine that is busy with other things."""
        return TOLERANCE * self.scale

    @property
    def pulse(self) -> Mapping[str, float]:
        """By kind of process, for how many seconds at a stretch one could not react, at most."""
        return self.standstills.longest

    def time(self, during: float) -> Time:
        """What is due within so many seconds rests on this: one process that loses the tolerance can explain it."""
        return Time(self.tolerance, during)

    def identity_of(self, workload: Workload) -> str:
        """The identity in a workload's certificate."""
        return self.adapter.identity_of(workload.spec)

    def identity_in_stage(self, namespace: str, name: str) -> str:
        """The identity that a workload would have in a namespace of the stage, by its plain name."""
        return self.adapter.identity_of(WorkloadSpec(self.platform.namespace(namespace), name))

    def claims(self, capability: Capability) -> bool:
        """Whether the mesh claims to be able to do this."""
        claim = self.adapter.claims.get(capability)
        return claim is not None and claim.supported

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The caller's identity as the server was told it."""
        return self.adapter.peer_identity(attempt)

    def endpoint(self, workload: Workload, port: str = "http") -> TlsEndpoint:
        """Where a TLS handshake meets a workload's data plane."""
        return self.adapter.endpoint(workload, port)

    def begin_check(self, evidence: Path | None) -> None:
        """Forget the check before."""
        self.journal.begin()
        self.standstills.begin_check()
        self.measured = {}
        self.evidence = evidence

    def measure(self, name: str, value: float | str) -> None:
        """Keep a figure or a fact for the report."""
        self.measured[name] = value
        self.journal.add("measured", name, value)

    def begin_early(self, check: Check) -> None:
        """Begin the head start of a check."""
        if check.head_start:
            self._early_since[check.id] = now()
            self.early[check.id] = asyncio.ensure_future(check.head_start(self))

    async def head_start(self, check: Check) -> Any:
        """Wait for the end of a head start, and write its result down as evidence of the check that runs now."""
        self.standstills.reach_back(self._early_since[check.id])
        result = await self.early[check.id]
        self.journal.add("head start", check.id, result)
        return result

    def of_upgrade(self) -> Upgraded:
        """What was seen during the upgrade, written down as evidence of the check that runs now.

        Raises:
            Inconclusive: There was none.
        """
        if self.upgraded is None:
            raise Inconclusive("the mesh was not upgraded: ask for it with --mesh-upgrade-to=VERSION")
        self.standstills.reach_back(self.upgraded.begun)
        self.journal.add("upgrade", f"{self.upgraded.before} -> {self.upgraded.after}", self.upgraded)
        return self.upgraded

    async def vouch(self) -> None:
        """Raise Inconclusive where a process of the stage has died: nothing is known of the mesh then."""
        await self.platform.vouch()

    async def workload(self, role: str) -> Workload:
        """A workload of the stage, started when it is first asked for."""
        self.loop.insist()
        return await self.stage.workload(role)

    @asynccontextmanager
    async def policy(self, *policies: Policy) -> AsyncIterator[None]:
        """Policies that every data plane goes by while the block runs, and no longer after it.

        Raises:
            Unsupported: The mesh cannot express one of them.
            Inconclusive: A data plane does not take them.
            WrongLoop: This is another event loop than the session's.
        """
        self.loop.insist()
        async with self._alone_for(policies):
            before = await self.changes.put_in_force(policies)
            try:
                yield
            except Violation as violation:
                await self._keep_for(violation)
                await self._undo_after(violation, policies, before)
                raise
            except BaseException:
                await self.changes.take_back(policies, before)
                raise
            await self.changes.take_back(policies, before)

    @asynccontextmanager
    async def _alone_for(self, policies: Sequence[Policy]) -> AsyncIterator[None]:
        """What is about the whole mesh must not meet the checks of other processes, nor workloads of other people."""
        wide = any(isinstance(policy, MutualTls) and isinstance(policy.target, WholeMesh) for policy in policies)
        if wide and not self.may_disrupt:
            raise Unsupported(
                f"a policy for all of {self.adapter.name}, which was there already, would reach workloads of others: "
                "allow it by --mesh-allow-disruption"
            )
        if not wide:
            yield
            return
        async with self.turns.alone():
            try:
                yield
            except (Inconclusive, Unsupported):
                await self.changes.quiet()  # nobody else may meet it, whatever became of the check
                raise
            await self.changes.quiet()

    async def _quiet(self) -> None:
        await self.changes.quiet()

    async def _before_call(self, caller: Workload | None, server: Workload, port: str) -> None:
        await self.changes.before_call(caller, server, port)

    async def _keep_for(self, violation: Violation) -> None:
        """Keep the state under the policy without losing the violation, should there be no place for it."""
        try:
            await self.capture()
        except OSError as trouble:
            violation.add_note(f"and the state of the mesh could not be kept: {trouble}")
        try:
            await self._ask_about(violation.request_id)
        except Inconclusive as trouble:
            violation.add_note(f"and what reached the server is not known: {trouble}")

    async def _ask_about(self, request_id: str) -> None:
        """Have the journal say what reached the server of a request, also where the check had no reason to ask."""
        sent = [entry for entry in self.journal.entries if getattr(entry.observation, "request_id", "") == request_id]
        servers = {entry.subject.rpartition(" -> ")[2] for entry in sent if request_id}
        for workload in self.stage.running:
            if str(workload) in servers:
                await workload.saw(request_id)

    async def _undo_after(self, violation: Violation, policies: Sequence[Policy], before: Sequence[Question]) -> None:
        """Undo without losing the violation, should the undoing fail as well."""
        try:
            await self.changes.take_back(policies, before)
            await self.changes.quiet()
        except Inconclusive as trouble:
            violation.add_note(f"and the policy could not be undone: {trouble}")

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Rotate something; ``lifetime`` is that of a new issuer, in seconds.

        Workloads are restarted where their data planes learn of roots in no other way; loads go on meanwhile. Where
        ``settled`` knows exactly, every data plane has it then. Otherwise a second root is trusted, the first one goes
        when no leaf needs it any more, and what else has to be there in time a check waits for.
        """
        self.loop.insist()
        await self.changes.quiet()
        await self.rotations.rotate(what, lifetime)

    async def follow_roots(self) -> None:
        """Restart the stage where its data planes were started under other roots, and cannot learn of those of now."""
        await self.rotations.follow_roots()

    async def knock(
        self, caller: Workload, server: Workload, credentials: Credentials | None, port: str = "http", **how: Any
    ) -> Exchange:
        """A request over a TLS connection of the caller's own, made straight to the server's data plane.

        Over gRPC it is a call with an empty message. Keywords are ``patience`` and the fields of ``ClientTls``.
        """
        return await self.peers.knock(caller, server, credentials, port, **how)

    async def handshake(self, caller: Workload, server: Workload, port: str = "http") -> Exchange:
        """A TLS handshake without a certificate, made straight to the server's data plane; it tells the chain shown."""
        return await self.peers.handshake(caller, server, port)

    async def served_chain(self, caller: Workload, server: Workload) -> tuple[x509.Certificate, ...]:
        """The certificates that a workload's data plane shows to a new TLS connection, leaf first.

        Raises:
            Inconclusive: It shows none.
        """
        return (await self.shown_chain(caller, server))[0]

    async def shown_chain(
        self, caller: Workload, server: Workload
    ) -> tuple[tuple[x509.Certificate, ...], datetime.datetime]:
        """The same, with when the handshake began by the clock of the caller's machine.

        Raises:
            Inconclusive: It shows none.
        """
        knock = await self.handshake(caller, server)
        if knock.tls is None:
            raise Inconclusive(f"{server} shows no certificate to {caller}: {knock.ending} {knock.detail}".rstrip())
        return parsed_chain(knock.tls.chain), datetime.datetime.fromtimestamp(knock.wall, datetime.UTC)

    def fresh_connections(self, server: Workload) -> tuple[Policy, ...]:
        """The policy by which each request to a server meets its certificate, where the mesh can do that."""
        return (RequestsPerConnection(server, 1),) if self.claims(Capability.CONNECTION_REUSE) else ()

    def meets_impostors(self, port: str) -> bool:
        """Whether an enrolled client's data plane can be made to meet an impostor on this port."""
        return meets_impostors(self.adapter, port)

    async def impersonate(self, impostor: Workload, credentials: Credentials, port: str = "http") -> None:
        """Have the impostor speak TLS with this certificate from now on, and take tunnels where data planes do."""
        await self.peers.impersonate(impostor, credentials, port)

    @asynccontextmanager
    async def wire(self, client: Workload, server: Workload, port: str = "http") -> AsyncIterator[Wire]:
        """Record what goes over the network between two workloads while the block runs."""
        await self.changes.before_call(client, server, port)
        async with self.platform.wire(client, server, port, stops_of(self.adapter, client.spec)) as wire:
            await self.adapter.settled()
            yield wire
        await self.adapter.settled()

    async def capture(self) -> None:
        """Keep the state of mesh and platform as evidence, once per check.

        Raises:
            OSError: There is no place for it.
        """
        if self.evidence is None or self.evidence.exists():
            return
        self.evidence.mkdir(parents=True)
        try:
            await self.adapter.diagnose(self.evidence)
        finally:
            await self.platform.diagnose(self.evidence)

    async def close(self) -> None:
        """Stop the stage, and remove the mesh where this process made it for itself."""
        self.standstills.pulse.end()
        for task in self.early.values():
            task.cancel()
        await asyncio.gather(self.stage.close(), *self.early.values(), return_exceptions=True)
        try:
            if self.turns.file is None:
                await self.adapter.uninstall()
        finally:
            await self.platform.close()
