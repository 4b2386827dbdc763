"""A mesh that claims everything and does nothing: every workload talks in the clear."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.envoy.documented import DOCUMENTED
from pytest_meshcheck.meshes.envoy.mesh import TRUST_DOMAIN
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.platforms.base import Manifest, Platform
from pytest_meshcheck.platforms.processes import Processes
from pytest_meshcheck.stage.capability import Capability, Claim
from pytest_meshcheck.stage.observation import Attempt
from pytest_meshcheck.stage.pki import Authority, spiffe_id
from pytest_meshcheck.stage.policy import Policy
from pytest_meshcheck.stage.workload import Workload, WorkloadSpec


class NoMesh:
    """Accepts every policy and every rotation, and tells nobody."""

    name = "none"
    version = "1"
    claims: Mapping[Capability, Claim] = {capability: Claim(True, "https://example.com/") for capability in Capability}
    documented = DOCUMENTED

    def __init__(self) -> None:
        self.authority = Authority(TRUST_DOMAIN)
        self._platform: Processes | None = None

    @classmethod
    def create(cls, _order: Order) -> "NoMesh":
        return cls()

    async def install(self, platform: Platform) -> None:
        assert isinstance(platform, Processes)
        self._platform = platform

    async def upgrade(self, version: str) -> None:
        self.version = version

    async def uninstall(self) -> None:
        self._platform = None

    def enrolment(self, workload: WorkloadSpec) -> Mapping[str, str]:
        return {}

    def render(self, policy: Policy) -> list[Manifest]:
        return []

    async def settled(self) -> None:
        return None

    def identity_of(self, workload: WorkloadSpec) -> str:
        return spiffe_id(TRUST_DOMAIN, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        assert self._platform is not None
        return TlsEndpoint(self._platform.members[str(workload)].data_plane(port), workload.spec.authority)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        steps = {
            Rotation.ISSUER: self.authority.rotate_issuer,
            Rotation.ROOT_ADD: self.authority.add_root,
            Rotation.ROOT_SWITCH: self.authority.switch_root,
            Rotation.ROOT_DROP: self.authority.drop_root,
        }
        if what in steps:
            steps[what]()

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        yield

    async def diagnose(self, directory: Path) -> None:
        return None
