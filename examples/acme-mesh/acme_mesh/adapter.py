"""The adapter: how the suite installs, configures and observes acme."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

from acme_mesh.claims import CLAIMS, DOCUMENTED
from acme_mesh.control_plane import AcmeControlPlane
from acme_mesh.policies import render as rendered
from pytest_meshcheck.meshes.base import Mesh, Rotation, TlsEndpoint
from pytest_meshcheck.meshes.envoy.adapter import adapter as embedded_mesh
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform
from pytest_meshcheck.platforms.local.platform import Processes

VERSION = "1.0.0"


def acme(request: MeshRequest) -> Mesh:
    """The factory of ``--mesh=acme``.

    Raises:
        MeshUnavailable: The version does not exist, or Envoy is not available.
    """
    if request.version not in (None, VERSION):
        raise MeshUnavailable(f"there is no acme {request.version}; available: {VERSION}")
    return AcmeMesh(embedded_mesh(replace(request, version=None)))


class AcmeMesh(Mesh):
    """The mesh acme on local processes."""

    name = "acme"
    version = VERSION
    claims = CLAIMS
    documented = DOCUMENTED

    def __init__(self, embedded: EnvoyMesh) -> None:
        self.authority = embedded.authority
        self._embedded = embedded

    async def install(self, platform: Platform) -> None:
        """Put acme's control plane in front of the embedded mesh."""
        if not isinstance(platform, Processes):
            raise TypeError(f"acme runs on local processes, not on {platform}")
        await self._embedded.install(platform)
        platform.control_plane = AcmeControlPlane(platform, self._embedded)

    async def uninstall(self) -> None:
        """Remove everything that ``install`` created."""
        await self._embedded.uninstall()

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """The label that makes a workload part of the mesh."""
        return self._embedded.enrolment(workload)

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as resources of acme, one each."""
        return [manifest for policy in policies for manifest in rendered(policy)]

    async def settled(self) -> None:
        """Every data plane runs the newest configuration."""
        await self._embedded.settled()

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The SPIFFE ID in the workload's certificate."""
        return self._embedded.identity_of(workload)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The caller's SPIFFE ID, as passed to the application."""
        return self._embedded.peer_identity(attempt)

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The inbound listener of the workload's data plane."""
        return self._embedded.endpoint(workload, port)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation."""
        await self._embedded.rotate(what, lifetime)

    async def give_authority(self, files: AuthorityFiles) -> str:
        """Refuse files with a flaw."""
        return await self._embedded.give_authority(files)

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """The authority issues nothing while the block runs."""
        return self._embedded.authority_outage()

    async def diagnose(self, directory: Path) -> None:
        """The configuration, certificates and statistics of every data plane."""
        await self._embedded.diagnose(directory)
