"""The mesh under test as a read-only view: its documented behaviour, identities and claims, and measurements."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.checks.effective_values import EffectiveValues
from pytest_meshcheck.checks.verdict import Time
from pytest_meshcheck.meshes.base import Mesh, TlsEndpoint
from pytest_meshcheck.meshes.documented import Documented, Refusals
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.journal import DISTRIBUTION, Journal
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.model.policy import Policy, RequestsPerConnection
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Platform

TOLERANCE = 1.0
"""Seconds. Time limits are proven by the order of events; this only has to separate "cut" from "not cut"."""


@dataclass(repr=False)  # asyncio makes that of each fixture's value, and it would have the whole run in it
class MeshFacts:
    """A mesh, and the measurements of the current check.

    Attributes:
        adapter: The mesh's adapter.
        platform: The platform that it runs on.
        scale: The factor for all time limits and tolerances (``--mesh-timeout-scale``).
        measured: The measurements of the current check.
        access: Who reached what, as the current check saw it.
        effective: What a port's configuration comes to, as the current check saw it.
    """

    adapter: Mesh
    platform: Platform
    scale: float = 1.0
    measured: dict[str, float | int | str] = field(default_factory=dict)
    access: tuple[Access, ...] = ()
    effective: tuple[EffectiveValues, ...] = ()

    @property
    def journal(self) -> Journal:
        """The events of the current check."""
        return self.platform.journal

    @property
    def documented(self) -> Documented:
        """The behaviour that the mesh's documentation promises."""
        return self.adapter.documented

    @property
    def refusals(self) -> Refusals:
        """The forms in which the mesh refuses, by the kind of peer."""
        return self.documented.mtls.refusals

    @property
    def authority(self) -> Authority:
        """The certificate authority of the mesh."""
        return self.adapter.authority

    @property
    def tolerance(self) -> float:
        """Seconds by which a busy machine may delay an event."""
        return TOLERANCE * self.scale

    def time(self, during: float) -> Time:
        """The stall that explains missing a limit of ``during`` seconds: one process that loses the tolerance."""
        return Time(self.tolerance, during)

    def identity_of(self, workload: Workload) -> str:
        """The identity in a workload's certificate."""
        return self.adapter.identity_of(workload.spec)

    def identity_in_stage(self, namespace: str, name: str) -> str:
        """The identity that a workload of this name would have in a namespace of the run, such as ``blue``."""
        return self.adapter.identity_of(WorkloadSpec(self.platform.namespace(namespace), name))

    def claims(self, capability: Capability) -> bool:
        """Whether the mesh claims this capability."""
        return self.adapter.claim(capability).supported

    def insist_on(self, capability: Capability, what: str) -> None:
        """Raise Unsupported, with the reason for ``what``, unless the mesh claims a capability that one case needs."""
        claim = self.adapter.claim(capability)
        if not claim.supported:
            raise Unsupported(f"{what}: {claim.why}")

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The caller's identity as the mesh states it to the server."""
        return self.adapter.peer_identity(attempt)

    def endpoint(self, workload: Workload, port: str = "http") -> TlsEndpoint:
        """The address and TLS settings of a workload's data plane."""
        return self.adapter.endpoint(workload, port)

    def fresh_connections(self, server: Workload) -> tuple[Policy, ...]:
        """The policy that gives each request to a server a TLS connection of its own, if the mesh supports it."""
        return (RequestsPerConnection(server, 1),) if self.claims(Capability.CONNECTION_REUSE) else ()

    def ports_that_meet_impostors(self, *ports: str) -> tuple[str, ...]:
        """The ports, of these, on which the data plane of an enrolled client can meet an impostor.

        Raises:
            Unsupported: There are none.
        """
        if not (met := tuple(filter(self.meets_impostors, ports))):
            raise Unsupported(f"{self.adapter.name} lets clients reach an impostor on none of {', '.join(ports)}")
        return met

    def meets_impostors(self, port: str, via: Via = Via.SERVICE) -> bool:
        """Whether an enrolled client's data plane can be made to meet an impostor on this port."""
        ports = self.adapter.impostor_ports
        return (ports is None or port in ports) and self.speaks_tls(port, via)

    def speaks_tls(self, port: str, via: Via) -> bool:
        """Whether an enrolled client's data plane is documented to speak TLS to an enrolled server called like this."""
        return via is not Via.ADDRESS or port not in self.adapter.plaintext_by_address

    def insist_on_tls(self, port: str, via: Via) -> None:
        """Raise Unsupported if connections of this kind are documented to be passed through as they are."""
        if not self.speaks_tls(port, via):
            raise Unsupported(
                f"{self.adapter.name} passes connections to the {via} of a workload through on port {port}"
            )

    def measure(self, name: str, value: float | str) -> None:
        """Record a measurement for the report."""
        self.measured[name] = value
        self.journal.add("measured", name, value)

    def record_access(self, access: Sequence[Access]) -> None:
        """Record who reaches what, for the access matrix of the report."""
        self.access = tuple(access)
        self.journal.add("access", "matrix", self.access)

    def record_effective(self, values: Sequence[EffectiveValues]) -> None:
        """Record what the configuration of a port comes to, for the table of the report."""
        self.effective = tuple(values)
        self.journal.add("effective", "values", self.effective)

    def measure_distribution(self, name: str, seconds: Sequence[float]) -> None:
        """Record durations in seconds, at least one, as a distribution, which the report plots."""
        figures = " / ".join(f"{one * 1000:.0f}" for one in (min(seconds), statistics.median(seconds), max(seconds)))
        self.measured[f"{name} (ms), least / median / most of {len(seconds)}"] = figures
        self.journal.add(DISTRIBUTION, name, tuple(seconds))
