"""The common part of meshes in a cluster, whether Helm, an operator or another program installs them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes


class KubernetesMesh(Mesh):
    """A mesh in a cluster: a run inspects the cluster before it creates anything, and uninstalls the mesh at the end.

    ``uninstall`` is called in the process that the user started, after ``bind``: it removes the installation of any
    process of this run, which the adapter has to find in the cluster, and nothing of other runs.

    Attributes:
        namespace: Where its control plane is; two meshes in one namespace are never tested in one run.
        asked: The version that the user named; None where any will do.
        scale: What every patience is multiplied by.
        installed_by_run: Whether the suite installs it; not with ``--mesh-installed``.
        policies: The API groups of the mesh's configuration, by the suite or by others: evidence of a violation.
        recorded_in_cluster: Whether the cluster itself holds who installed it and how, so that ``meshcheck clean``
            uninstalls it without the adapter.
        may_stay_changed: Whether a failed check or a killed run may leave a pre-installed mesh changed, for example
            without replicas or with a mesh-wide policy, which ``uninstall`` undoes.
    """

    namespace: str
    runs_on = PlatformKind.KUBERNETES
    policies: ClassVar[Sequence[str]] = ()
    recorded_in_cluster: ClassVar[bool] = False
    may_stay_changed: ClassVar[bool] = False

    def __init__(self, request: MeshRequest) -> None:
        self.asked = request.version
        self.scale = request.timeout_scale
        self.installed_by_run = not request.installed
        self._platform: Kubernetes | None = None

    @abstractmethod
    async def detect(self, api: Api) -> None:
        """Detect the version and the mode of the installed mesh.

        Raises:
            MeshUnavailable: It is not installed, or in a mode that the adapter does not know.
        """

    @abstractmethod
    async def refuse_taken(self, api: Api) -> None:
        """Check that nothing prevents the installation.

        Raises:
            MeshUnavailable: Another run, or a third party, has installed the mesh.
        """

    async def find(self, api: Api) -> None:
        """Detect the installed mesh, and check that it is the one that the user asked for.

        Raises:
            MeshUnavailable: It is not installed, in a mode that the adapter does not know, or of another version.
        """
        await self.detect(api)
        if self.asked is not None and self.spelt(self.asked) != self.spelt(self.version):
            raise MeshUnavailable(
                f"{self.name} {self.version} is installed, not {self.asked}: use --mesh={self.name}@{self.version}, "
                f"or --mesh={self.name} for any version"
            )

    async def look(self, api: Api) -> None:
        """Detect a pre-installed mesh, or check that nothing prevents an installation; otherwise MeshUnavailable."""
        await (self.refuse_taken(api) if self.installed_by_run else self.find(api))

    def spelt(self, version: str) -> str:
        """A version in its canonical spelling."""
        return version

    @property
    def platform(self) -> Kubernetes:
        """The cluster of the mesh; Inconclusive before the installation."""
        if self._platform is None:
            raise Inconclusive(f"{self.name} is not installed")
        return self._platform

    def bind(self, platform: Platform) -> None:
        """Use this platform from now on; TypeError if it is not a cluster."""
        if not isinstance(platform, Kubernetes):
            raise TypeError(f"{self.name} runs on Kubernetes, not on {platform}")
        self._platform = platform

    async def uninstall_from(self, cluster_ref: ClusterRef) -> None:
        """Remove what any process of the run of this cluster reference installed; raises what ``uninstall`` raises."""
        platform = Kubernetes(Journal(), cluster_ref)
        self.bind(platform)
        try:
            await self.uninstall()
        finally:
            await platform.close()
