"""No mesh at all, which claims everything: what a bare cluster is judged by, and no check may conform on it.

It takes every policy and every rotation, and tells nobody. A check that conforms nevertheless measures something else
than a mesh.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_meshcheck.meshes.base import Home, Mesh, Rotation, TlsEndpoint, rotate_authority
from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.envoy.documented import DOCUMENTED
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import Authority, spiffe_id
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform

TRUST_DOMAIN = "cluster.local"
SOURCE = "https://kubernetes.io/docs/concepts/services-networking/service/"
CLAIM = Claim(True, SOURCE, note="claimed so that every check runs; nothing is there to keep it")


@dataclass
class NoMesh(Mesh):
    """Plain workloads that talk in the clear; it is held to what the embedded mesh documents."""

    name: str = "none"
    version: str = "1"
    runs_on: Home = Home.KUBERNETES
    claims: Mapping[Capability, Claim] = field(default_factory=lambda: dict.fromkeys(Capability, CLAIM))
    documented: Documented = DOCUMENTED
    authority: Authority = field(default_factory=lambda: Authority(TRUST_DOMAIN))

    async def install(self, platform: Platform) -> None:
        """Nothing is installed."""

    async def upgrade(self, version: str) -> None:
        """Nothing changes but the name of the version."""
        self.version = version

    async def uninstall(self) -> None:
        """Nothing is there."""

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """No workload is told of anything."""
        return Metadata()

    def namespace_enrolment(self) -> Metadata:
        """There is nothing to be part of."""
        return Metadata()

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Every policy is taken, and comes to nothing."""
        return []

    async def settled(self) -> None:
        """There is nothing to wait for."""

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The identity that the workload would have."""
        return spiffe_id(TRUST_DOMAIN, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """Nobody is told who calls."""
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application itself."""
        address = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint(address, workload.spec.authority)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """The authority rotates, and nobody hears of it."""
        rotate_authority(self.authority, what, lifetime)

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        """Nobody asks the authority for anything anyway."""
        yield

    async def diagnose(self, directory: Path) -> None:
        """There is no state."""


def adapter(order: Order) -> NoMesh:
    """No mesh.

    Raises:
        MeshUnavailable: A version was asked for.
    """
    if order.version is not None:
        raise MeshUnavailable(f"--mesh=none@{order.version}: `none` has no versions; use --mesh=none")
    return NoMesh()
