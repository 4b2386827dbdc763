"""Cilium, installed by its Helm chart, and judged by one of its flavours."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.cilium import flavours, values
from pytest_meshcheck.meshes.cilium.documented import DOCUMENTED, in_version, is_in
from pytest_meshcheck.meshes.cilium.flavours import Flavour
from pytest_meshcheck.meshes.cilium.render import refuse_access, routes
from pytest_meshcheck.meshes.cilium.settings import CONFIG, conflicts
from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN, HelmMesh, secret
from pytest_meshcheck.meshes.kubernetes.modes import Mode, other_mode
from pytest_meshcheck.meshes.registry import Order
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
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.evidence.logs import trouble, write_events, write_logs
from pytest_meshcheck.platforms.kubernetes.evidence.state import reading, write_policies

SYSTEM = "cilium"
"""A namespace of its own: what the suite installs it also removes, and kube-system is not the suite's to remove."""

USUAL = "kube-system"
"""Where Cilium is when somebody else installed it."""

CHART = "cilium"
ROLLOUTS = (
    # namespace, empty for Cilium's own; kind; name
    ("", "daemonsets", "cilium"),
    ("", "daemonsets", "cilium-envoy"),
    ("", "deployments", "cilium-operator"),
)
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
CLUSTERWIDE = Permission("cilium.io", "ciliumclusterwidenetworkpolicies", (*APPLIED, "delete"))
DEFINED_BY_OPERATOR = {
    "ciliumnetworkpolicies.cilium.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "ciliumenvoyconfigs.cilium.io",
}


class CiliumMesh(HelmMesh):
    """Cilium of one flavour."""

    namespace = SYSTEM
    groups = ("cilium.io",)
    policies = ("cilium.io", "gateway.networking.k8s.io")
    kind_config = "cilium.yaml"
    repository = "https://helm.cilium.io"
    newest = "1.20.0"
    documented: Documented = DOCUMENTED

    def __init__(self, order: Order, flavour: Flavour = flavours.WIREGUARD) -> None:
        self.name = flavour.name
        self.flavour = flavour
        self.home = SYSTEM
        self._given = order.charts
        super().__init__(order, flavour.claims)
        if self.ours:
            self._judged_as(self.version)

    @property
    def permissions(self) -> Sequence[Permission]:
        """What judging it takes; whoever installs it has to administer the cluster."""
        routed = (HTTP_ROUTES,) if self.flavour.routed else ()
        clusterwide = (CLUSTERWIDE,) if self.flavour.resources else ()
        return (*LOOKED_AT, *routed, *clusterwide, *reading(self.policies))

    def releases(self) -> Sequence[Release]:
        """The one chart."""
        return (Release(CHART, CHART, SYSTEM, self.flavour.values),)

    def secrets(self) -> Sequence[Manifest]:
        """The key of IPsec, where that is used; derived, so that it is the same in each process."""
        if self.flavour is not flavours.IPSEC:
            return ()
        derive = HKDF(hashes.SHA256(), length=20, salt=None, info=b"cilium-ipsec-keys")  # AES-128 key and salt
        octets = derive.derive(key_pem(self.authority.issuer.key))
        return [secret(SYSTEM, "cilium-ipsec-keys", {"keys": f"3+ rfc4106(gcm(aes)) {octets.hex()} 128"})]

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """Every pod is on Cilium's network; labels are for what asks for more."""
        return Metadata(self.flavour.labels if workload.enrolment is Enrolment.ENROLLED else {})

    def namespace_enrolment(self) -> Metadata:
        """Every pod is on Cilium's network by itself."""
        return Metadata()

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """HTTPRoutes, one for each port of a service."""
        refuse_access(policies, self.flavour.why_not_strict, self.flavour.source)
        return routes(policies)

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The SPIFFE ID that it would have; without ztunnel no certificate says it."""
        return spiffe_id(self.trust_domain, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """Applications are told nothing of their callers."""
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application itself: no data plane ends TLS in front of it."""
        return TlsEndpoint(workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS), workload.spec.authority)

    async def install(self, platform: Platform) -> None:
        """The definitions of the Gateway API where HTTPRoutes are used, then Cilium, then what is in force throughout.

        Raises:
            MeshUnavailable: There is another Cilium, or the definitions cannot be had.
            Inconclusive: It does not become ready.
        """
        self.bind(platform)
        api = await self.platform.api()
        if self.ours:
            await self._alone(api)
            if self.flavour.routed:
                version = values.GATEWAY_API[minor(self.version)]
                await gateway_api.ensure(api, version, self._given, OURS, self.scale)
        else:
            await self.detect(api)
        await super().install(platform)
        for manifest in self.flavour.resources:
            await api.apply(manifest)

    async def uninstall(self) -> None:
        """Also from a Cilium that was there before goes what is in force throughout."""
        api = await self.platform.api()
        if not self.ours:
            for manifest in self.flavour.resources:
                await api.delete(manifest)
        await super().uninstall()

    async def ready(self, api: Api) -> None:
        """Wait until agents, proxies and operator run, and the operator has defined what policies are made of."""
        for namespace, kind, name in (*ROLLOUTS, *self.flavour.rollouts):
            await self._rolled_out(api, namespace or self.home, kind, name)
        await gateway_api.established(api, DEFINED_BY_OPERATOR, INSTALLED_WITHIN * self.scale)

    async def detect(self, api: Api) -> None:
        """The version that the agents' image says, and whether the configuration is that of the flavour."""
        self.home, config = await configuration(api)
        agents = await api.read(f"/apis/apps/v1/namespaces/{self.home}/daemonsets/cilium")
        if agents is None:
            raise MeshUnavailable(f"{self.home} has a {CONFIG}, but no DaemonSet cilium: Cilium is not running")
        image = agents["spec"]["template"]["spec"]["containers"][0]["image"]
        self.version = version_of(image) or self.asked or refuse_nameless(image)
        self._refuse_other(config)
        self._judged_as(self.version)

    def _refuse_other(self, config: Mapping[str, str]) -> None:
        """MeshUnavailable where the configuration is that of another flavour, or not quite that of this one."""
        on = flavours.found_in(config)
        if on and self.flavour in flavours.TOLD_APART and self.flavour not in on:
            mode = Mode((on[0].name,), on[0].words)
            shown_by = f"{on[0].settings[0].key} is {on[0].settings[0].wanted} in {CONFIG}"
            raise other_mode(self.name, f"cilium {self.version} in {self.home}", mode, shown_by)
        if wrong := conflicts(config, self.flavour.settings):
            raise MeshUnavailable(f"the Cilium in {self.home} does not match --mesh={self.name}: {'; '.join(wrong)}")

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Nothing can be rotated.

        Raises:
            Unsupported: Always; says why.
        """
        self._no_rotation()

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Nothing can be rotated: as ``rotate``."""
        self._no_rotation()

    async def diagnose(self, directory: Path) -> None:
        """Write what Cilium is set to, and the logs of agents, proxies and operator."""
        api = await self.platform.api()
        home, config = await configuration(api)
        pods, _ = await api.items(f"/api/v1/namespaces/{home}/pods")
        await write_logs(api, directory, pods)
        await write_events(api, directory, home)
        settings = "".join(f"{key}: {value}\n" for key, value in sorted(config.items()))
        (directory / f"{home}.{CONFIG}.txt").write_text(settings, "utf-8")
        await write_policies(api, directory, self.policies, (home, *self.platform.namespaces))

    def _no_rotation(self) -> NoReturn:
        raise Unsupported(
            f"{self.name} cannot rotate certificates: {self.flavour.why_not_strict} ({self.flavour.source})"
        )

    def _judged_as(self, version: str) -> None:
        """Take over what holds in this version; MeshUnavailable where the flavour is not part of it."""
        try:
            if not is_in(version, self.flavour.since, self.flavour.until):
                until = f" and before {self.flavour.until}" if self.flavour.until else ""
                raise MeshUnavailable(f"{self.name} needs Cilium {self.flavour.since} or newer{until}, not {version}")
            self.claims = in_version(self.claims, version)
        except ValueError as error:
            raise MeshUnavailable(str(error)) from error
        if self.ours and self.flavour.routed and minor(version) not in values.GATEWAY_API:
            known = ", ".join(values.GATEWAY_API)
            raise MeshUnavailable(
                f"which Gateway API Cilium {version} needs is known for {known} only: take one of them"
            )

    async def refuse_taken(self, api: Api) -> None:
        """Nor is there another Cilium: two networks on one cluster are none."""
        await super().refuse_taken(api)
        await self._alone(api)

    async def _alone(self, api: Api) -> None:
        if await api.read(f"/api/v1/namespaces/{USUAL}/configmaps/{CONFIG}") is not None:
            raise MeshUnavailable(
                f"the cluster has a Cilium in {USUAL} already: test it with --mesh-installed, or use another cluster"
            )

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
            raise Inconclusive(f"{name} in {namespace} does not run after {seconds:.0f} s: {state}") from late


async def configuration(api: Api) -> tuple[str, Mapping[str, str]]:
    """Where Cilium is, and what its agents are set to.

    Raises:
        MeshUnavailable: There is none.
    """
    for namespace in (USUAL, SYSTEM):
        found = await api.read(f"/api/v1/namespaces/{namespace}/configmaps/{CONFIG}")
        if found is not None:
            return namespace, found.get("data", {})
    raise MeshUnavailable(
        f"Cilium is not installed: no ConfigMap {CONFIG} in {USUAL} or {SYSTEM}; omit --mesh-installed to install it"
    )


def complete(workload: Object) -> bool:
    """Whether all pods of a DaemonSet, Deployment or StatefulSet are of the newest generation, and ready."""
    status: Mapping[str, int] = workload.get("status", {})
    if status.get("observedGeneration", 0) < int(workload["metadata"]["generation"]):
        return False
    if "desiredNumberScheduled" in status:
        wanted, counted = status["desiredNumberScheduled"], ("numberReady", "updatedNumberScheduled")
    else:
        wanted, counted = int(workload["spec"].get("replicas", 1)), ("readyReplicas", "updatedReplicas")
    return bool(wanted) and all(status.get(field) == wanted for field in counted)


def version_of(image: str) -> str:
    """The version that an image's tag says, e.g. ``1.20.0``; empty where it says none."""
    found = re.search(r":v?(\d+\.\d+\.\d+[^@]*)", image)
    return found[1] if found else ""


def refuse_nameless(image: str) -> NoReturn:
    """MeshUnavailable, as a version has to be known."""
    raise MeshUnavailable(f"the agents' image {image} does not say which version it is: name it, --mesh=NAME@VERSION")


def minor(version: str) -> str:
    """The minor version, e.g. ``1.20``."""
    return ".".join(version.removeprefix("v").split(".")[:2])
