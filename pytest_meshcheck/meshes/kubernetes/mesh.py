"""What meshes in a cluster have in common, however they are installed: by Helm, by an operator, by a program."""

from abc import abstractmethod
from typing import ClassVar

from pytest_meshcheck.meshes.base import Home, Mesh
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.platforms.kubernetes.access.attachment import Attachment
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes


class KubernetesMesh(Mesh):
    """A mesh that is looked at before a run makes anything in its cluster, and uninstalled after the run.

    ``uninstall`` is called in the process that the user started, after ``bind``: it removes what any process of this
    run installed, which the adapter therefore has to find in the cluster, and nothing of other runs.

    Attributes:
        namespace: Where its control plane is; two meshes in one namespace are never judged in one run.
        asked: The version that the user named; None where any will do.
        scale: What every patience is multiplied by.
        ours: Whether the suite installs it; not with ``--mesh-installed``.
        recorded_in_cluster: Whether the cluster itself holds who installed it and how, so that ``meshcheck clean``
            uninstalls it without the adapter.
    """

    namespace: str
    runs_on = Home.KUBERNETES
    recorded_in_cluster: ClassVar[bool] = False

    def __init__(self, order: Order) -> None:
        self.asked = order.version
        self.scale = order.timeout_scale
        self.ours = not order.installed
        self._platform: Kubernetes | None = None

    @abstractmethod
    async def detect(self, api: Api) -> None:
        """Find out the version and the mode of what is installed.

        Raises:
            MeshUnavailable: It is not there, or in no mode that the adapter knows.
        """

    @abstractmethod
    async def refuse_taken(self, api: Api) -> None:
        """Make sure that nothing is where the mesh is to be installed.

        Raises:
            MeshUnavailable: Another run has installed it, or somebody else.
        """

    async def find(self, api: Api) -> None:
        """Find out what is installed, and that it is what was asked for.

        Raises:
            MeshUnavailable: It is not there, in no mode that the adapter knows, or of another version.
        """
        await self.detect(api)
        if self.asked is not None and self.spelt(self.asked) != self.spelt(self.version):
            raise MeshUnavailable(
                f"{self.name} {self.version} is installed, not {self.asked}: use --mesh={self.name}@{self.version}, "
                f"or --mesh={self.name} for any version"
            )

    async def look(self, api: Api) -> None:
        """Find what is to be judged, or make sure that nothing is in its way; MeshUnavailable says what is wrong."""
        await (self.refuse_taken(api) if self.ours else self.find(api))

    def spelt(self, version: str) -> str:
        """A version in one way, of all in which it may be written."""
        return version

    @property
    def platform(self) -> Kubernetes:
        """The cluster that it is in; Inconclusive where it is in none."""
        if self._platform is None:
            raise Inconclusive(f"{self.name} is not installed")
        return self._platform

    def bind(self, platform: Platform) -> None:
        """Take a platform for the one that it is, or is to be, installed on; TypeError for one that is no cluster."""
        if not isinstance(platform, Kubernetes):
            raise TypeError(f"{self.name} runs on Kubernetes, not on {platform}")
        self._platform = platform

    async def uninstall_from(self, attachment: Attachment) -> None:
        """Remove what any process of the run of this attachment installed; raises what ``uninstall`` raises."""
        platform = Kubernetes(Journal(), attachment)
        self.bind(platform)
        try:
            await self.uninstall()
        finally:
            await platform.close()
