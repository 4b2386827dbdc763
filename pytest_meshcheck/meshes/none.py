"""No mesh at all, but it claims everything: on a bare cluster no check may conform.

It accepts every policy and every rotation, and does nothing. A check that conforms nevertheless does not measure the
mesh.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_meshcheck.meshes.base import Mesh, PlatformKind, Rotation, TlsEndpoint, rotate_authority
from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.envoy.documented import DOCUMENTED
from pytest_meshcheck.meshes.registry import MeshRequest
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
CLAIM = Claim(True, SOURCE, note="claimed so that every check runs; nothing implements it")


@dataclass
class NoMesh(Mesh):
    """Workloads that communicate in plaintext, compared with the documented behaviour of the embedded mesh."""

    name: str = "none"
    version: str = "1"
    runs_on: PlatformKind = PlatformKind.KUBERNETES
    claims: Mapping[Capability, Claim] = field(default_factory=lambda: dict.fromkeys(Capability, CLAIM))
    documented: Documented = DOCUMENTED
    authority: Authority = field(default_factory=lambda: Authority(TRUST_DOMAIN))

    async def install(self, platform: Platform) -> None:
        """Do nothing."""

    async def upgrade(self, version: str) -> None:
        """Change the name of the version only."""
        self.version = version

    async def uninstall(self) -> None:
        """Do nothing."""

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """No labels and no annotations."""
        return Metadata()

    def namespace_enrolment(self) -> Metadata:
        """No labels and no annotations."""
        return Metadata()

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """No resources, whatever the policies."""
        return []

    async def settled(self) -> None:
        """Return at once."""

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The identity that the workload would have in a mesh."""
        return spiffe_id(TRUST_DOMAIN, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """None: no mesh passes it."""
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application itself."""
        address = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint(address, workload.spec.authority)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Rotate the authority, which nobody uses."""
        rotate_authority(self.authority, what, lifetime)

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        """Do nothing: nobody uses the authority."""
        yield

    async def diagnose(self, directory: Path) -> None:
        """Do nothing: there is no state."""


def adapter(request: MeshRequest) -> NoMesh:
    """No mesh.

    Raises:
        MeshUnavailable: A version was asked for.
    """
    if request.version is not None:
        raise MeshUnavailable(f"--mesh=none@{request.version}: `none` has no versions; use --mesh=none")
    return NoMesh()
