"""What meshes have in common that Helm installs in a cluster, and that several processes of a run share.

A Secret in the mesh's own namespace says that it is ours, how it was installed, and which authority it was given.
"""

import base64
import binascii
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from pytest_meshcheck.meshes.base import Documented, Home, Rotation, rotate_authority
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.platforms.base import Manifest, Platform
from pytest_meshcheck.platforms.kubernetes import helm
from pytest_meshcheck.platforms.kubernetes.api import Api, Object
from pytest_meshcheck.platforms.kubernetes.charts import Charts, Source, bare
from pytest_meshcheck.platforms.kubernetes.evidence import write_events, write_logs
from pytest_meshcheck.platforms.kubernetes.helm import Helm, Release
from pytest_meshcheck.platforms.kubernetes.permissions import ADMINISTRATOR, READINESS, Permission
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.kubernetes.values import overrides
from pytest_meshcheck.stage.capability import Capability, Claim
from pytest_meshcheck.stage.faults import Inconclusive, MeshUnavailable, Unsupported
from pytest_meshcheck.stage.pki import Authority
from pytest_meshcheck.stage.pki_archive import archived, restore

STATE = "meshcheck"
"""Name of the Secret."""

MADE_BY = "app.kubernetes.io/managed-by"
SUITE = "meshcheck"
INSTALLED_WITHIN = 300.0
"""Seconds from the first chart until the mesh is ready."""

OF_OUR_AUTHORITY = frozenset({Capability.CUSTOM_AUTHORITY, Capability.ISSUER_ROTATION, Capability.ROOT_ROTATION})
"""What only a mesh can do that takes its certificates from the suite."""

NOT_OURS = "the mesh was there already: its certificates do not come from an authority of the suite's"


class HelmMesh(ABC):
    """A mesh of charts.

    Attributes:
        namespace: Where its control plane is.
        repository: Where its charts are published.
        newest: The version that is installed where none is asked for.
        resources: What it takes to apply what policies are rendered into.
        data_plane_in_workload: Whether a data plane comes and goes with the pod that it serves.
        ours: Whether this run, or an earlier one, installed it.
    """

    name: str
    namespace: ClassVar[str]
    repository: ClassVar[str]
    newest: ClassVar[str]
    trust_domain: ClassVar[str] = "cluster.local"
    resources: ClassVar[Sequence[Permission]] = ()
    data_plane_in_workload: ClassVar[bool] = False
    runs_on: Home = Home.KUBERNETES
    documented: Documented

    def __init__(self, order: Order, claims: Mapping[Capability, Claim]) -> None:
        self.ours = not order.installed
        self.scale = order.timeout_scale
        self.version = order.version or self.newest
        self.authority = Authority(self.trust_domain)
        self.claims: Mapping[Capability, Claim] = dict(claims)
        self._values = [order.values]
        self._charts = Charts(self.repository, order.charts)
        self._platform: Kubernetes | None = None
        self._known_state = ""
        if self.ours:
            helm.require()
            sources = [self._source(release) for release in self.releases()]
            self.version = bare(sources[-1].app_version or sources[-1].version)
        else:
            refused = {one: replace(claims[one], supported=False, note=NOT_OURS) for one in OF_OUR_AUTHORITY}
            self.claims = {**claims, **refused}

    @abstractmethod
    def releases(self) -> Sequence[Release]:
        """The charts in the order in which they are installed; ``version`` and ``authority`` are known."""

    def there(self) -> Sequence[Release]:
        """The charts that may be there: also one that is not to be installed any more, but not to go yet."""
        return self.releases()

    @abstractmethod
    def secrets(self) -> Sequence[Manifest]:
        """What has to be there before the charts: the authority as the mesh wants it; again at each rotation."""

    @abstractmethod
    async def ready(self, api: Api) -> None:
        """Return once the control plane really works.

        Raises:
            Inconclusive: It does not; says what was awaited, and the last state.
        """

    @abstractmethod
    async def detect(self, api: Api) -> None:
        """Find out the version and the mode of what is installed.

        Raises:
            MeshUnavailable: It is not there, or in no mode that the adapter knows.
        """

    @abstractmethod
    async def rotated(self, api: Api, what: Rotation) -> None:
        """Have the control plane notice at once that ``secrets`` have changed."""

    def authority_outage(self) -> AbstractAsyncContextManager[None]:
        """The authority issues nothing while the block runs.

        Raises:
            Unsupported: The adapter has no way to stop it.
        """
        claim = self.claims[Capability.CA_OUTAGE]
        raise Unsupported(f"the authority of {self.name} cannot be stopped: {claim.note} ({claim.source})")

    @property
    def permissions(self) -> Sequence[Permission]:
        """What installing it takes, or what judging it takes where it was there already."""
        return (*READINESS, *self.resources) if not self.ours else (ADMINISTRATOR,)

    @property
    def platform(self) -> Kubernetes:
        """The cluster that it is in; Inconclusive where it is in none."""
        if self._platform is None:
            raise Inconclusive(f"{self.name} is not installed")
        return self._platform

    def override(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Have these values, by chart or ``*`` for every chart, overrule the adapter's and those of before."""
        self._values.append(values)

    def overrides_of(self, release: Release) -> tuple[Mapping[str, Any], ...]:
        """What overrules the adapter's own values of a release, each the one before."""
        return tuple(one for values in self._values for one in overrides(values, release.chart))

    def bind(self, platform: Platform) -> None:
        """Take a platform for the one that it is, or is to be, installed on; TypeError for one that is no cluster."""
        if not isinstance(platform, Kubernetes):
            raise TypeError(f"{self.name} runs on Kubernetes, not on {platform}")
        self._platform = platform

    async def install(self, platform: Platform) -> None:
        """Install it, or find what this run or an earlier one installed in the same way.

        Raises:
            MeshUnavailable: There is a mesh that this run did not install.
            Inconclusive: It does not become ready.
        """
        self.bind(platform)
        api = await self.platform.api()
        if self.ours and not await self._is_there(api):
            await self._install(api)
        await self.ready(api)

    async def uninstall(self) -> None:
        """Remove the charts, what they leave, and the namespace, where this run made them."""
        api = await self.platform.api()
        state = await self._state(api)
        if not self.ours or state is None or state.get("run") != self.platform.attachment.run:
            return
        program = self._helm()
        leftovers = [await self.leftovers(api, release) for release in self.releases()]
        for name in reversed(_releases_in(state)):
            await program.uninstall(name, self.namespace, wait=INSTALLED_WITHIN * self.scale)
        for manifest in (one for several in leftovers for one in several):
            await api.delete(manifest)
        await api.delete(self._home())

    async def leftovers(self, api: Api, release: Release) -> list[Manifest]:
        """The definitions that a release brought and that Helm is told to keep; with them goes what they define."""
        definitions, _ = await api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        return [
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": definition["metadata"]["name"]},
            }
            for definition in definitions
            if definition["metadata"].get("annotations", {}).get("meta.helm.sh/release-name") == release.name
        ]

    async def upgrade(self, version: str) -> None:
        """Move the control plane to another version in place; workloads follow when they are started anew.

        Raises:
            MeshUnavailable: There are no charts of that version.
            Inconclusive: It does not become ready.
        """
        self.become(version)
        await self.have_charts()

    def become(self, version: str) -> None:
        """Have ``releases`` be of another version from now on; MeshUnavailable where there are no charts of it."""
        before, self.version = self.version, version
        try:
            sources = [self._source(release) for release in self.releases()]
        except MeshUnavailable:
            self.version = before
            raise
        self.version = bare(sources[-1].app_version or sources[-1].version)

    async def have_charts(self) -> None:
        """Have the charts be installed as ``releases`` says now, and wait until the mesh is ready.

        Raises:
            Inconclusive: A chart cannot be installed or removed, or the mesh does not become ready.
        """
        api = await self.platform.api()
        await self._install(api)
        await self.ready(api)

    async def settled(self) -> None:
        """Take over the authority as another process may have rotated it; Inconclusive where a workload has died."""
        self.platform.check()
        if self.ours and (state := await self._state(await self.platform.api())):
            self._take_over(state)

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Begin a rotation.

        Raises:
            Unsupported: Leaves are renewed by the data planes, whenever they are due.
        """
        if what is Rotation.LEAF:
            raise Unsupported(f"{self.name} cannot be told to renew a leaf before it is due")
        await self.settled()
        api = await self.platform.api()
        rotate_authority(self.authority, what, lifetime)
        await self._store(api, self._recipe())
        for secret in self.secrets():
            await api.apply(secret)
        await self.rotated(api, what)

    async def diagnose(self, directory: Path) -> None:
        """Write the logs of the control plane; those of the data planes are the platform's to write."""
        api = await self.platform.api()
        pods, _ = await api.items(f"/api/v1/namespaces/{self.namespace}/pods")
        await write_logs(api, directory, pods)
        await write_events(api, directory, self.namespace)

    async def _install(self, api: Api) -> None:
        await api.apply(self._home())
        there = [release.name for release in self.there()]
        gone = [name for name in _releases_in(await self._state(api) or {}) if name not in there]
        await self._store(api, "", *gone)
        for secret in self.secrets():
            await api.apply(secret)
        program = self._helm()
        for release in self.releases():
            mine = replace(release, overrides=self.overrides_of(release))
            await program.install(mine, self._source(release))
        for name in gone:
            await program.uninstall(name, self.namespace, wait=INSTALLED_WITHIN * self.scale)
        await self._store(api, self._recipe())

    async def refuse_taken(self, api: Api) -> None:
        """Make sure that nothing is where the mesh is to be installed.

        Raises:
            MeshUnavailable: Another run has installed it, or somebody else.
        """
        if (state := await self._state(api)) is not None:
            raise MeshUnavailable(
                f"{self.name} in {self.namespace} was installed by the run {state.get('run', '(unknown)')}, which may "
                f"be under way: wait for its end, or remove what it left: {self._by_hand(state)}"
            )
        if await api.read(f"/api/v1/namespaces/{self.namespace}") is not None:
            raise MeshUnavailable(
                f"the cluster has a namespace {self.namespace} that the suite did not make: judge the mesh that is "
                "there with --mesh-installed, or use another cluster"
            )

    async def _is_there(self, api: Api) -> bool:
        """Whether it was installed exactly so before; MeshUnavailable where it is somebody else's, or another run's."""
        state, attachment = await self._state(api), self.platform.attachment
        if state is None or not (attachment.kept or state.get("run") == attachment.run):
            await self.refuse_taken(api)
            return False
        self._take_over(state)
        return state["recipe"] == self._recipe()

    def _by_hand(self, state: Mapping[str, str]) -> str:
        """How to remove what a run left that was killed."""
        names = " ".join(reversed(_releases_in(state)))
        return f"helm uninstall -n {self.namespace} {names} && kubectl delete namespace {self.namespace}"

    def _helm(self) -> Helm:
        attachment = self.platform.attachment
        return Helm(attachment.kubeconfig, attachment.context)

    def _source(self, release: Release) -> Source:
        return self._charts.resolve(release.chart, self.version)

    def _recipe(self) -> str:
        """Tells one way of installing it from another."""
        parts = [[release.chart, release.values, self.overrides_of(release)] for release in self.releases()]
        return hashlib.sha256(msgspec.json.encode([self.version, parts], order="sorted")).hexdigest()

    def _home(self) -> Manifest:
        labels = {MADE_BY: SUITE, "pod-security.kubernetes.io/enforce": "privileged"}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}

    async def _state(self, api: Api) -> dict[str, str] | None:
        secret = await api.read(f"/api/v1/namespaces/{self.namespace}/secrets/{STATE}")
        return None if secret is None else _decoded(secret)

    async def _store(self, api: Api, recipe: str, *more: str) -> None:
        """``recipe`` is empty while it is being installed; ``more`` releases may be there then than are to be."""
        state = {
            "recipe": recipe,
            "run": self.platform.attachment.run,
            "authority": archived(self.authority).decode(),
            "releases": " ".join([*(release.name for release in self.there()), *more]),
        }
        metadata = {"name": STATE, "namespace": self.namespace, "labels": {MADE_BY: SUITE}}
        await api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": state})
        self._known_state = state["authority"]

    def _take_over(self, state: Mapping[str, str]) -> None:
        if state["authority"] != self._known_state:
            restore(self.authority, state["authority"].encode())
            self._known_state = state["authority"]


def secret(namespace: str, name: str, data: Mapping[str, str | bytes]) -> Manifest:
    """A Secret; the texts in it are PEM."""
    texts = {key: value.decode() if isinstance(value, bytes) else value for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {MADE_BY: SUITE}},
        "stringData": texts,
    }


def _releases_in(state: Mapping[str, str]) -> list[str]:
    """The names of the releases that may be there, in the order in which they were installed."""
    return state.get("releases", "").split()


def _decoded(secret: Object) -> dict[str, str]:
    try:
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Inconclusive(
            f"the Secret {STATE} in {secret['metadata']['namespace']} is not the suite's: {error}"
        ) from error
