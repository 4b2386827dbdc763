"""The mesh as a check sees it: policies that undo themselves, rotations, the wire, and the workloads of the stage."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_meshcheck.judge.catalogue import Check
from pytest_meshcheck.judge.verdict import Violation
from pytest_meshcheck.meshes.base import Documented, Mesh, Rotation, TlsEndpoint
from pytest_meshcheck.platforms.base import Manifest, Platform, Wire
from pytest_meshcheck.probe.messages import Body, ClientTls, Credentials, ServerTls
from pytest_meshcheck.stage.faults import Inconclusive
from pytest_meshcheck.stage.journal import Journal
from pytest_meshcheck.stage.observation import Attempt, Exchange, Protocol
from pytest_meshcheck.stage.pki import Authority
from pytest_meshcheck.stage.policy import Policy
from pytest_meshcheck.stage.workload import UNARY_PATH, Enrolment, Workload, WorkloadSpec

SHORTEST = 0.0
"""As ``leaf_lifetime`` of a stage's workload: the shortest that the mesh documents."""

TOLERANCE = 1.0
"""Time limits are proven by the order of events; this bound only has to tell "cut" from "not cut"."""

EMPTY_CALL: dict[str, Any] = {
    "protocol": Protocol.H2C,
    "method": "POST",
    "path": UNARY_PATH,
    "headers": (("content-type", "application/grpc"), ("te", "trailers")),
    "body": Body(text="\0\0\0\0\0"),
}
"""A unary gRPC call in HTTP/2's own terms; https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests"""

STAGE = {
    # fixture: what it is
    "client": WorkloadSpec("blue", "client"),
    "other": WorkloadSpec("blue", "other"),
    "server": WorkloadSpec("blue", "server", calls=False),
    "renewing": WorkloadSpec("blue", "renewing", leaf_lifetime=SHORTEST, calls=False),
    "twin_client": WorkloadSpec("green", "client"),
    "twin_server": WorkloadSpec("green", "server", calls=False),
    "outsider": WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED),
    "bystander": WorkloadSpec("grey", "bystander", Enrolment.UNENROLLED),
    "impostor": WorkloadSpec("grey", "impostor", Enrolment.FEIGNED),
}
"""Two identities in one namespace, their twins in another, and two workloads outside of the mesh."""


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
    """

    adapter: Mesh
    platform: Platform
    scale: float = 1.0
    steps: dict[str, float] = field(default_factory=dict)
    evidence: Path | None = None
    measured: dict[str, float | int | str] = field(default_factory=dict)
    early: dict[str, "asyncio.Task[Any]"] = field(default_factory=dict)
    _started: dict[str, "asyncio.Task[Workload]"] = field(default_factory=dict)

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

    def identity_of(self, workload: Workload) -> str:
        """The identity in a workload's certificate."""
        return self.adapter.identity_of(workload.spec)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The caller's identity as the server was told it."""
        return self.adapter.peer_identity(attempt)

    def endpoint(self, workload: Workload, port: str = "http") -> TlsEndpoint:
        """Where a TLS handshake meets a workload's data plane."""
        return self.adapter.endpoint(workload, port)

    def begin_check(self, evidence: Path | None) -> None:
        """Forget the check before."""
        self.journal.begin()
        self.measured = {}
        self.evidence = evidence

    def measure(self, name: str, value: float | str) -> None:
        """Keep a figure or a fact for the report."""
        self.measured[name] = value
        self.journal.add("measured", name, value)

    def begin_early(self, check: Check) -> None:
        """Begin the head start of a check."""
        if check.head_start:
            self.early[check.id] = asyncio.ensure_future(check.head_start(self))

    async def head_start(self, check: Check) -> Any:
        """Wait for the end of a head start, and write its result down as evidence of the check that runs now."""
        result = await self.early[check.id]
        self.journal.add("head start", check.id, result)
        return result

    async def vouch(self) -> None:
        """Raise Inconclusive where a process of the stage has died: then nothing is known of the mesh."""
        await self.platform.vouch()

    async def heal(self) -> None:
        """Clear away what has died or did not start; it is started anew when it is next asked for."""
        dead = await self.platform.clear_dead()
        for role, start in list(self._started.items()):
            if str(self._spec(role)) in dead or (start.done() and (start.cancelled() or start.exception())):
                del self._started[role]

    async def workload(self, role: str) -> Workload:
        """A workload of the stage, started when it is first asked for."""
        if role not in self._started:
            self._started[role] = asyncio.ensure_future(self._start(role))
        return await asyncio.shield(self._started[role])

    def _spec(self, role: str) -> WorkloadSpec:
        planned = STAGE[role]
        return replace(planned, namespace=self.platform.namespace(planned.namespace))

    async def _start(self, role: str) -> Workload:
        spec = self._spec(role)
        if spec.leaf_lifetime == SHORTEST:
            spec = replace(spec, leaf_lifetime=self.documented.leaf_lifetime)
        begun = time.monotonic()
        workload = await self.platform.start(spec, self.adapter.enrolment(spec))
        await self.adapter.settled()
        self.steps[f"workload {spec}"] = time.monotonic() - begun
        return workload

    @asynccontextmanager
    async def policy(self, *policies: Policy) -> AsyncIterator[None]:
        """Policies that every data plane goes by while the block runs, and no longer after it.

        Raises:
            Unsupported: The mesh cannot express one of them.
            Inconclusive: A data plane does not take them.
        """
        manifests = [manifest for policy in policies for manifest in self.adapter.render(policy)]
        self.journal.add("policy", ", ".join(type(policy).__name__ for policy in policies), manifests)
        try:
            await self.platform.apply(manifests)
            await self.adapter.settled()
            yield
        except Violation as violation:
            await self._keep_for(violation)
            await self._undo_after(violation, manifests)
            raise
        except BaseException:
            await self.platform.delete(manifests)
            raise
        await self.platform.delete(manifests)
        await self.adapter.settled()

    async def _keep_for(self, violation: Violation) -> None:
        """Keep the state under the policy without losing the violation, should there be no place for it."""
        try:
            await self.capture()
        except OSError as trouble:
            violation.add_note(f"and the state of the mesh could not be kept: {trouble}")

    async def _undo_after(self, violation: Violation, manifests: Sequence[Manifest]) -> None:
        """Undo without losing the violation, should the undoing fail as well."""
        await self.platform.delete(manifests)
        try:
            await self.adapter.settled()
        except Inconclusive as trouble:
            violation.add_note(f"and the policy could not be undone: {trouble}")

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Rotate something and wait until every data plane has it; ``lifetime`` is that of a new issuer, in seconds."""
        self.journal.add("rotation", what, lifetime)
        await self.adapter.rotate(what, lifetime)
        await self.adapter.settled()

    async def knock(
        self, caller: Workload, server: Workload, credentials: Credentials | None, port: str = "http", **tls: Any
    ) -> Exchange:
        """A request over a TLS connection of the caller's own, made straight to the server's data plane.

        Over gRPC it is a call with an empty message. Keywords are the fields of ``ClientTls``.
        """
        endpoint = self.endpoint(server, port)
        request: dict[str, Any] = EMPTY_CALL if server.spec.port(port).protocol is Protocol.GRPC else {}
        unwanted = "http/1.1" if request else "h2"
        alpn = tuple(name for name in endpoint.alpn if name != unwanted)
        spoken = ClientTls(credentials=credentials, server_name=endpoint.server_name, alpn=alpn, **tls)
        return await caller.get(server, port, address=endpoint.address, tls=spoken, **request)

    async def handshake(self, caller: Workload, server: Workload, port: str = "http") -> Exchange:
        """A TLS handshake without a certificate, made straight to the server's data plane; it tells the chain shown."""
        endpoint = self.endpoint(server, port)
        return await caller.handshake(endpoint.address, ClientTls(server_name=endpoint.server_name, alpn=endpoint.alpn))

    async def impersonate(self, impostor: Workload, credentials: Credentials, port: str = "http") -> None:
        """Have the impostor speak TLS with this certificate from now on."""
        await self.platform.serve(impostor, port, ServerTls(credentials=credentials))

    @asynccontextmanager
    async def wire(self, client: Workload, server: Workload, port: str = "http") -> AsyncIterator[Wire]:
        """Record what goes over the network between two workloads while the block runs."""
        async with self.platform.wire(client, server, port) as wire:
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
        await self.adapter.diagnose(self.evidence)
        await self.platform.diagnose(self.evidence)

    async def close(self) -> None:
        """Stop the stage and remove the mesh."""
        tasks = (*self.early.values(), *self._started.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self.adapter.uninstall()
        finally:
            await self.platform.close()
