"""The state of the control plane, and the configuration that it implies for one sidecar."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_meshcheck.meshes.envoy.policies import PolicySet
from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, Outbound, Service, SidecarConfig
from pytest_meshcheck.model.pki import spiffe_id
from pytest_meshcheck.model.workload_spec import Address, Enrolment, Port, WorkloadSpec
from pytest_meshcheck.platforms.local.addresses import Member, endpoints_by_service
from pytest_meshcheck.probe.protocol.messages import Credentials


@dataclass(frozen=True)
class Snapshot:
    """All workloads, roots and policies at one moment.

    Attributes:
        trust_domain: The mesh's trust domain.
        roots: The announced roots as PEM.
        members: Every running workload, in the mesh or not.
        retired: The names of members that are withdrawn from the endpoints of their services.
        policies: The applied policies.
        endpoint: The address of a server's port for a client's sidecar: (client, server, port name) -> address.
    """

    trust_domain: str
    roots: bytes
    members: Sequence[Member]
    retired: Collection[str]
    policies: PolicySet
    endpoint: Callable[[Member, Member, str], Address]

    def config_of(self, member: Member, credentials: Credentials) -> SidecarConfig:
        """The configuration of one member's sidecar."""
        return SidecarConfig(
            workload=str(member),
            trust_domain=self.trust_domain,
            credentials=credentials,
            roots=self.roots,
            inbound=tuple(self._inbound(member, port) for port in member.spec.ports),
            outbound=tuple(self._outbounds(member)) if member.spec.calls else (),
        )

    def _outbounds(self, client: Member) -> Iterator[Outbound]:
        for servers, service in self._services:
            port = service.port.name
            remaining = (server for server in servers if str(server) not in self.retired)
            endpoints = tuple(self.endpoint(client, server, port) for server in remaining)
            yield Outbound(service, client.outbound(servers[0], port), endpoints)

    @cached_property
    def _services(self) -> tuple[tuple[Sequence[Member], Service], ...]:
        behind = endpoints_by_service(self.members).values()
        return tuple((servers, service) for servers in behind for service in self._services_of(servers[0].spec))

    def _inbound(self, member: Member, port: Port) -> Inbound:
        mode = self.policies.mode(member.spec.namespace, member.spec.name, port.name)
        return Inbound(port, member.data_plane(port.name), member.application(port.name), mode)

    def _services_of(self, spec: WorkloadSpec) -> tuple[Service, ...]:
        target = spec.namespace, spec.name
        server = identity(self.trust_domain, spec) if is_member(spec) else None
        retries, timeout = self.policies.retries(*target), self.policies.timeout(*target)
        limit = self.policies.requests_per_connection(*target)
        budget, mark = self.policies.retry_budget(*target), self.policies.mark(*target)
        return tuple(
            Service(spec.authority, port, server, retries, timeout, limit, budget, mark) for port in spec.ports
        )


def is_member(spec: WorkloadSpec) -> bool:
    """Whether the mesh treats a workload as enrolled; an impostor is published too, but has no sidecar."""
    return spec.enrolment in (Enrolment.ENROLLED, Enrolment.IMPERSONATED)


def identity(trust_domain: str, spec: WorkloadSpec) -> str:
    """The SPIFFE ID of a workload."""
    return spiffe_id(trust_domain, spec.namespace, spec.service_account)
