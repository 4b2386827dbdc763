"""Cilium, installed by its Helm chart, in one of its variants."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.cilium import values, variants
from pytest_meshcheck.meshes.cilium.documented import DOCUMENTED, in_version, is_in
from pytest_meshcheck.meshes.cilium.installed import (
    SYSTEM,
    USUAL,
    complete,
    configuration,
    minor,
    refuse_nameless,
    refuse_network,
    version_of,
)
from pytest_meshcheck.meshes.cilium.render import Strictness, access, routes
from pytest_meshcheck.meshes.cilium.settings import CONFIG, conflicts
from pytest_meshcheck.meshes.cilium.variants import Variant
from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN, HelmMesh, secret
from pytest_meshcheck.meshes.kubernetes.modes import InstalledMode, other_mode
from pytest_meshcheck.meshes.kubernetes.node_daemons import NodeDaemon
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable, Unsupported
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import key_pem, spiffe_id
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.helm.installation import OURS
from pytest_meshcheck.platforms.kubernetes.access.permissions import APPLIED, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.evidence.logs import trouble, write_events, write_logs
from pytest_meshcheck.platforms.kubernetes.evidence.state import reading, write_policies

CHART = "cilium"
ROLLOUTS = (
    # namespace, empty for Cilium's own; kind; name
    ("", "daemonsets", "cilium"),
    ("", "daemonsets", "cilium-envoy"),
    ("", "deployments", "cilium-operator"),
)
DATA_PLANES = "app.kubernetes.io/name in (cilium-agent, cilium-envoy, ztunnel-cilium)"
OF_CILIUM = "app.kubernetes.io/part-of=cilium"
"""The label selector of its pods; its namespace, usually kube-system, has other pods as well."""
WATCHED = ("get", "list", "watch")
LOOKED_AT = (
    # group, resource, verbs
    Permission("", "configmaps", ("get",)),
    Permission("apps", "daemonsets", WATCHED),
    Permission("apps", "deployments", WATCHED),
    Permission("apps", "statefulsets", WATCHED),
    Permission("apiextensions.k8s.io", "customresourcedefinitions", WATCHED),
)
HTTP_ROUTES = Permission("gateway.networking.k8s.io", "httproutes", (*APPLIED, "delete"))
NETWORK_POLICIES = Permission("networking.k8s.io", "networkpolicies", (*APPLIED, "delete"))
RELABELLED = Permission("", "pods", ("patch",))
DEFINED_BY_OPERATOR = {"ciliumnetworkpolicies.cilium.io", "ciliumclusterwidenetworkpolicies.cilium.io"}
DEFINED_FOR_ROUTES = {"ciliumenvoyconfigs.cilium.io"}
"""The operator makes it only with the Gateway API, an ingress controller or ``envoyConfig`` enabled."""
DEFINED_WITHIN = 10.0
"""Seconds from the start of the operator until it has created its definitions."""


class CiliumMesh(HelmMesh):
    """One variant of Cilium."""

    namespace = SYSTEM
    groups = ("cilium.io",)
    policies = ("cilium.io", "gateway.networking.k8s.io", "networking.k8s.io")
    kind_config = "cilium.yaml"
    data_plane_of_node = True
    repository = "https://helm.cilium.io"
    newest = "1.20.0"
    documented: Documented = DOCUMENTED

    def __init__(self, request: MeshRequest, variant: Variant = variants.WIREGUARD) -> None:
        self.name = variant.name
        self.variant = variant
        self.documented = variant.documented
        self.home = SYSTEM
        self._upgraded = request.upgrade_to is not None
        self._upgraded_from = ""
        self._given = request.charts
        super().__init__(request, variant.claims)
        if self.installed_by_run:
            self._judged_as(self.version)

    @property
    def permissions(self) -> Sequence[Permission]:
        """The permissions for installing Cilium, or for testing a pre-installed one."""
        if self.installed_by_run:
            return super().permissions
        routed = (HTTP_ROUTES,) if self.variant.routed else ()
        decided = (NETWORK_POLICIES, RELABELLED) if self.claims[Capability.NETWORK_POLICY].supported else ()
        return (*LOOKED_AT, *routed, *decided, *reading(self.policies))

    def releases(self) -> Sequence[Release]:
        """The one chart; where the run upgrades it, agents follow one by one."""
        one_by_one = values.ONE_BY_ONE if self._upgraded else {}
        compatible = {"upgradeCompatibility": self._upgraded_from} if self._upgraded_from else {}
        return (Release(CHART, CHART, SYSTEM, {**self.variant.values, **one_by_one, **compatible}),)

    def secrets(self) -> Sequence[Manifest]:
        """The key of IPsec, if used; derived, so that every process has the same."""
        if self.variant is not variants.IPSEC:
            return ()
        derive = HKDF(hashes.SHA256(), length=20, salt=None, info=b"cilium-ipsec-keys")  # AES-128 key and salt
        key_and_salt = derive.derive(key_pem(self.authority.issuer.key))
        return [secret(SYSTEM, "cilium-ipsec-keys", {"keys": f"3+ rfc4106(gcm(aes)) {key_and_salt.hex()} 128"})]

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """No labels: every pod is on Cilium's network anyway."""
        return Metadata()

    def namespace_enrolment(self) -> Metadata:
        """No labels: every pod is on Cilium's network anyway."""
        return Metadata()

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as network policies, and as HTTPRoutes, one for each port of a service."""
        strictness = Strictness(self.variant.why_not_strict, self.variant.source)
        return [*access(policies, strictness), *routes(policies)]

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The SPIFFE ID that the workload would have; without ztunnel no certificate contains it."""
        return spiffe_id(self.trust_domain, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """None: Cilium does not pass identities to applications."""
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application itself: no data plane terminates TLS in front of it."""
        return TlsEndpoint(workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS), workload.spec.authority)

    async def install(self, platform: Platform) -> None:
        """Install Cilium, or detect the installed one.

        Raises:
            MeshUnavailable: Another Cilium or another network is installed, or definitions cannot be fetched.
            Inconclusive: Cilium does not become ready.
        """
        self.bind(platform)
        if not self.installed_by_run:
            await self.detect(await self.platform.api())
        await super().install(platform)
        await self.platform.watch_data_planes(DATA_PLANES)

    async def define(self, api: Api) -> None:
        """Install the Gateway API definitions if the variant uses HTTPRoutes; an upgrade replaces the run's own."""
        version = values.GATEWAY_API.get(minor(self.version))
        if self.variant.routed and version:
            is_upgrade = bool(self._upgraded_from)
            await gateway_api.ensure(api, version, self._given, OURS, self.scale, upgrade=is_upgrade)

    async def ready(self, api: Api) -> None:
        """Wait until agents, proxies and operator run, and the operator has created the definitions of policies."""
        for namespace, kind, name in (*ROLLOUTS, *self.variant.rollouts):
            await self._rolled_out(api, namespace or self.home, kind, name)
        defined = DEFINED_BY_OPERATOR | (DEFINED_FOR_ROUTES if self.variant.routed else set())
        await gateway_api.established(api, defined, DEFINED_WITHIN * self.scale)

    async def detect(self, api: Api) -> None:
        """Detect the version by the image of the agents, and check that the configuration is that of the variant."""
        self.home, config = await configuration(api)
        agents = await api.read(f"/apis/apps/v1/namespaces/{self.home}/daemonsets/cilium")
        if agents is None:
            raise MeshUnavailable(f"{self.home} has a {CONFIG}, but no DaemonSet cilium: Cilium is not running")
        image = agents["spec"]["template"]["spec"]["containers"][0]["image"]
        self.version = version_of(image) or self.asked or refuse_nameless(image)
        self._refuse_other(config)
        self._judged_as(self.version)

    def _refuse_other(self, config: Mapping[str, str]) -> None:
        """MeshUnavailable if the configuration is that of another variant, or has a wrong setting."""
        on = variants.found_in(config)
        if on and self.variant in variants.EXCLUSIVE and self.variant not in on:
            mode = InstalledMode((on[0].name,), on[0].words)
            shown_by = f"{on[0].settings[0].key} is {on[0].settings[0].wanted} in {CONFIG}"
            raise other_mode(self.name, f"cilium {self.version} in {self.home}", mode, shown_by)
        if wrong := conflicts(config, self.variant.settings):
            raise MeshUnavailable(f"the Cilium in {self.home} does not match --mesh={self.name}: {'; '.join(wrong)}")

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Raise: nothing can be rotated.

        Raises:
            Unsupported: Always, with the reason.
        """
        self._no_rotation()

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Raise ``Unsupported``, as ``rotate``."""
        self._no_rotation()

    async def upgrade(self, version: str) -> None:
        """Upgrade the definitions of the Gateway API, the operator, and the agents of nodes without enrolled workloads.

        Raises:
            MeshUnavailable: There is no chart of that version, or definitions cannot be fetched.
            Inconclusive: The new version does not become ready.
        """
        api, self._upgraded_from = await self.platform.api(), minor(self.version)
        await super().upgrade(version)
        nodes, _ = await api.items("/api/v1/nodes")
        running = self.platform.running.values()
        following = {one.node for one in running if one.spec.enrolment is Enrolment.ENROLLED}
        for name in sorted({node["metadata"]["name"] for node in nodes} - following):
            await self._follow(name)

    @asynccontextmanager
    async def data_plane_upgrade(self, workloads: Sequence[Workload]) -> AsyncIterator[None]:
        """Replace the agent, and then the proxy, of each node of these workloads."""
        for node in dict.fromkeys(map(self.platform.node_of, workloads)):
            await self._follow(node)
        yield

    async def _follow(self, node: str) -> None:
        for daemon in (self._agents, NodeDaemon(self.home, "k8s-app=cilium-envoy", "cilium-envoy")):
            await daemon.replace(self.platform, node)

    async def kill_data_plane(self, workload: Workload) -> None:
        """Kill the agent of a workload's node, and return once another has been started."""
        await self._agents.restart(self.platform, workload, ready=False)

    async def restart_data_plane(self, workload: Workload) -> None:
        """The same, and wait until it is ready."""
        await self._agents.restart(self.platform, workload)

    @property
    def _agents(self) -> NodeDaemon:
        return NodeDaemon(self.home, "k8s-app=cilium", "cilium-agent")

    async def diagnose(self, directory: Path) -> None:
        """Write the configuration of Cilium, and the logs of agents, proxies and operator."""
        api = await self.platform.api()
        home, config = await configuration(api)
        pods, _ = await api.items(f"/api/v1/namespaces/{home}/pods", OF_CILIUM)
        await write_logs(api, directory, pods)
        await write_events(api, directory, home)
        settings = "".join(f"{key}: {value}\n" for key, value in sorted(config.items()))
        (directory / f"{home}.{CONFIG}.txt").write_text(settings, "utf-8")
        await write_policies(api, directory, self.policies, (home, *self.platform.namespaces))

    def _no_rotation(self) -> NoReturn:
        raise Unsupported(
            f"{self.name} cannot rotate certificates: {self.variant.why_not_strict} ({self.variant.source})"
        )

    def _judged_as(self, version: str) -> None:
        """Adopt the claims for this version; MeshUnavailable if it does not have this variant."""
        try:
            if not is_in(version, self.variant.since, self.variant.until):
                until = f" and before {self.variant.until}" if self.variant.until else ""
                raise MeshUnavailable(f"{self.name} needs Cilium {self.variant.since} or newer{until}, not {version}")
            self.claims = in_version(self.claims, version)
        except ValueError as error:
            raise MeshUnavailable(str(error)) from error
        if self.installed_by_run and self.variant.routed and minor(version) not in values.GATEWAY_API:
            known = ", ".join(values.GATEWAY_API)
            raise MeshUnavailable(f"the Gateway API version for Cilium {version} is unknown; use one of {known}")

    async def refuse_taken(self, api: Api) -> None:
        """Check that nothing prevents the installation.

        Raises:
            MeshUnavailable: Cilium is installed, or a cluster that the suite did not create has another network.
        """
        await super().refuse_taken(api)
        if await api.read(f"/api/v1/namespaces/{USUAL}/configmaps/{CONFIG}") is not None:
            raise MeshUnavailable(
                f"the cluster has a Cilium in {USUAL} already: test it with --mesh-installed, or use another cluster"
            )
        if self._platform is None or not self._platform.cluster_ref.is_own:
            await refuse_network(api)

    async def _rolled_out(self, api: Api, namespace: str, kind: str, name: str) -> None:
        path = f"/apis/apps/v1/namespaces/{namespace}/{kind}"
        try:
            await api.until(
                path,
                "",
                lambda found: any(one["metadata"]["name"] == name and complete(one) for one in found),
                INSTALLED_WITHIN * self.scale,
            )
        except TimeoutError as late:
            seconds, state = INSTALLED_WITHIN * self.scale, await trouble(api, namespace)
            raise Inconclusive(f"{name} in {namespace} is not running after {seconds:.0f} s: {state}") from late
