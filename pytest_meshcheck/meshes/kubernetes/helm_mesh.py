"""The common part of meshes that Helm installs in a cluster, shared by all processes of a run.

The Secret of ``installation`` records that the mesh is ours, how it was installed, and with which authority.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pytest_meshcheck.meshes.base import Rotation, rotate_authority
from pytest_meshcheck.meshes.kubernetes.charted import Charted
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import MeshUnavailable, Unsupported
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.model.pki_archive import archived, restore
from pytest_meshcheck.platforms.base import Manifest, Platform
from pytest_meshcheck.platforms.helm import helm
from pytest_meshcheck.platforms.helm.helm import Helm, Release
from pytest_meshcheck.platforms.helm.installation import (
    OURS,
    Installation,
    foreign_definitions,
    home,
    installation_in,
    remove,
)
from pytest_meshcheck.platforms.kubernetes.access.permissions import ADMINISTRATOR, READINESS, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.evidence.logs import write_events, write_logs
from pytest_meshcheck.platforms.kubernetes.evidence.state import Dump, reading, write_dumps, write_policies

INSTALLED_WITHIN = 300.0
"""Seconds from the first chart until the mesh is ready."""

OF_OUR_AUTHORITY = frozenset({Capability.CUSTOM_AUTHORITY, Capability.ISSUER_ROTATION, Capability.ROOT_ROTATION})
"""The capabilities that need the suite's authority."""

NOT_INSTALLED_BY_RUN = "the mesh was already installed: its certificates do not come from the suite's authority"
LIFETIME_IS_GIVEN = "the mesh was already installed: installation sets one certificate lifetime for all workloads"


class HelmMesh(Charted, KubernetesMesh):
    """A mesh installed by Helm charts.

    Attributes:
        resources: The permissions for the resources that ``render`` returns.
        dumps: Queries to the data planes for evidence of a violation, by container name.
        groups: The API groups whose definitions the mesh itself creates and leaves behind.
        given: The claims that differ if the mesh was pre-installed.
    """

    trust_domain: ClassVar[str] = "cluster.local"
    resources: ClassVar[Sequence[Permission]] = ()
    dumps: ClassVar[Mapping[str, Sequence[Dump]]] = {}
    groups: ClassVar[Sequence[str]] = ()
    one_lifetime = True
    recorded_in_cluster = True
    given: ClassVar[Mapping[Capability, Claim]] = {}

    def __init__(self, request: MeshRequest, claims: Mapping[Capability, Claim]) -> None:
        KubernetesMesh.__init__(self, request)
        Charted.__init__(self, request)
        self.authority = Authority(self.trust_domain)
        self.claims = dict(claims)
        self._known_state = ""
        if self.installed_by_run:
            helm.require()
            self.resolve()
        else:
            refused = {
                one: replace(claims[one], supported=False, note=NOT_INSTALLED_BY_RUN)
                for one in OF_OUR_AUTHORITY & claims.keys()
            }
            self.claims = {**claims, **refused, **self.given}

    def there(self) -> Sequence[Release]:
        """The possibly installed charts: ``releases``, and older ones that are removed later."""
        return self.releases()

    @abstractmethod
    def secrets(self) -> Sequence[Manifest]:
        """The objects needed before the charts: the authority in the format of the mesh; applied at each rotation."""

    async def define(self, api: Api) -> None:
        """Install definitions that the charts lack, labelled ``OURS``; the installation is on record by then.

        Raises:
            MeshUnavailable: They cannot be fetched.
            Inconclusive: The API server does not accept them.
        """

    @abstractmethod
    async def ready(self, api: Api) -> None:
        """Return once the control plane works.

        Raises:
            Inconclusive: It does not; with the awaited and the last state.
        """

    @abstractmethod
    async def rotated(self, api: Api, what: Rotation) -> None:
        """Make the control plane read the changed ``secrets`` at once."""

    @property
    def namespaces(self) -> Sequence[str]:
        """The namespaces with pods and resources of the mesh itself: evidence of a violation."""
        return (self.namespace,)

    @property
    def settings(self) -> Sequence[str]:
        """The paths of the ConfigMaps with mesh-wide settings: evidence of a violation."""
        return ()

    @property
    def permissions(self) -> Sequence[Permission]:
        """The permissions for installing the mesh, or for testing a pre-installed one."""
        if self.installed_by_run:
            return (ADMINISTRATOR,)
        return (*READINESS, *self.resources, *reading(self.policies))

    async def install(self, platform: Platform) -> None:
        """Install the mesh, or reuse the same installation of this run or an earlier one.

        Raises:
            MeshUnavailable: Another installation is in the way.
            Inconclusive: The mesh does not become ready.
        """
        self.bind(platform)
        api = await self.platform.api()
        if self.installed_by_run and not await self._is_there(api):
            await self._install(api)
        elif self.installed_by_run:
            for secret in self.secrets():  # a killed run may have left those of a broken authority
                await api.apply(secret)
        await self.ready(api)

    async def uninstall(self) -> None:
        """Remove the charts, their leftovers and the namespace, if this run created them."""
        if not self.installed_by_run:
            return
        api = await self.platform.api()
        there = await installation_in(api, self.namespace)
        if there is not None and there.run == self.platform.cluster_ref.run:
            await remove(api, self._helm(), there, INSTALLED_WITHIN * self.scale)

    async def upgrade(self, version: str) -> None:
        """Upgrade the control plane in place; workloads follow when they restart.

        Raises:
            MeshUnavailable: There are no charts of that version.
            Inconclusive: The new version does not become ready.
        """
        self.switch_version(version)
        await self.have_charts()

    async def have_charts(self) -> None:
        """Install and remove charts according to ``releases``, and wait until the mesh is ready.

        Raises:
            Inconclusive: A chart cannot be installed or removed, or the mesh does not become ready.
        """
        api = await self.platform.api()
        await self._install(api)
        await self.ready(api)

    async def settled(self) -> None:
        """Read the authority, which another process may have rotated; Inconclusive if a workload has died."""
        self.platform.check()
        if self.installed_by_run and (there := await installation_in(await self.platform.api(), self.namespace)):
            self._take_over(there)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation.

        Raises:
            Unsupported: A leaf was asked for: only the data planes renew leaves, when they are due.
        """
        if what is Rotation.LEAF:
            raise Unsupported(f"{self.name} cannot renew a leaf before it is due")
        await self.settled()
        api = await self.platform.api()
        rotate_authority(self.authority, what, lifetime)
        await self._store(api, self.recipe())
        for secret in self.secrets():
            await api.apply(secret)
        await self.rotated(api, what)

    async def diagnose(self, directory: Path) -> None:
        """Write the control plane's logs, the mesh's resources, and the configuration of its data planes.

        The platform writes the logs of the data planes.
        """
        platform = self.platform
        api = await platform.api()
        pods, _ = await api.items(f"/api/v1/namespaces/{self.namespace}/pods")
        await write_logs(api, directory, pods)
        for namespace in self.namespaces:
            await write_events(api, directory, namespace)
        await write_policies(api, directory, self.policies, (*self.namespaces, *platform.namespaces), self.settings)
        await write_dumps(await platform.executor(), directory, [*pods, *await platform.pods()], self.dumps)

    async def _install(self, api: Api) -> None:
        await api.apply(home(self.namespace, self.platform.cluster_ref.run))
        names = [release.name for release in self.there()]
        before = await installation_in(api, self.namespace)
        gone = [name for name in before.releases if name not in names] if before else []
        await self._store(api, "", *gone)
        await self.define(api)
        for secret in self.secrets():
            await api.apply(secret)
        program = self._helm()
        for release in self.releases():
            mine = replace(release, overrides=self.overrides_of(release))
            await program.install(mine, self.source(release))
        for name in gone:
            await program.uninstall(name, self.namespace, wait=INSTALLED_WITHIN * self.scale)
        await self._store(api, self.recipe())

    async def refuse_taken(self, api: Api) -> None:
        """Check that nothing prevents the installation.

        Raises:
            MeshUnavailable: Another run, or a third party, has installed the mesh.
        """
        if (there := await installation_in(api, self.namespace)) is not None:
            raise MeshUnavailable(
                f"{self.name} in {self.namespace} was installed by run {there.run}, which may still be running: "
                f"wait for its end, or remove the mesh with `meshcheck clean` or with {there.by_hand}"
            )
        if await api.read(f"/api/v1/namespaces/{self.namespace}") is not None:
            raise MeshUnavailable(
                f"the cluster has a namespace {self.namespace} that the suite did not create: test the installed "
                "mesh with --mesh-installed, or use another cluster"
            )

    async def _is_there(self, api: Api) -> bool:
        """Whether the same installation exists; MeshUnavailable if it belongs to another run or a third party."""
        there, cluster_ref = await installation_in(api, self.namespace), self.platform.cluster_ref
        if there is None or not (cluster_ref.kept or there.run == cluster_ref.run):
            await self.refuse_taken(api)
            return False
        self._take_over(there)
        return there.recipe == self.recipe()

    def _helm(self) -> Helm:
        cluster_ref = self.platform.cluster_ref
        return Helm(cluster_ref.kubeconfig, cluster_ref.context)

    async def _store(self, api: Api, recipe: str, *more: str) -> None:
        """Write the record; ``recipe`` is empty during the installation, when ``more`` releases may exist."""
        there = await installation_in(api, self.namespace)
        now = Installation(
            namespace=self.namespace,
            run=self.platform.cluster_ref.run,
            recipe=recipe,
            releases=(*(release.name for release in self.there()), *more),
            groups=tuple(self.groups),
            authority=archived(self.authority).decode(),
            foreign=there.foreign if there and there.releases else await foreign_definitions(api),
        )
        await api.apply(now.secret)
        self._known_state = now.authority

    def _take_over(self, there: Installation) -> None:
        if there.authority not in ("", self._known_state):
            restore(self.authority, there.authority.encode())
            self._known_state = there.authority


def secret(namespace: str, name: str, data: Mapping[str, str | bytes]) -> Manifest:
    """A Secret; the texts in it are PEM."""
    texts = {key: value.decode() if isinstance(value, bytes) else value for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": OURS},
        "stringData": texts,
    }
