"""Istio's ambient mode: a ztunnel on each node for layer 4, and a waypoint for layer 7.

Requests of enrolled workloads to a service go from the client's ztunnel to the waypoint and from there to the server's
ztunnel, each leg under mutual TLS. Requests to the address of a pod, and requests of outsiders, bypass the waypoint.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

from pytest_meshcheck.meshes.base import TlsEndpoint
from pytest_meshcheck.meshes.documented import Documented, LifecyclePromises, NetworkPromises
from pytest_meshcheck.meshes.istio import revisions, waypoint
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCS
from pytest_meshcheck.meshes.istio.http_route import ROUTED, HttpRouteMesh
from pytest_meshcheck.meshes.istio.mesh import CONTROL_PLANE, LEAST, SIDECAR, SYSTEM
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN, LIFETIME_IS_GIVEN
from pytest_meshcheck.meshes.kubernetes.node_daemons import NodeDaemon
from pytest_meshcheck.meshes.kubernetes.readiness import every_node, restart, rolled_out
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import MeshUnavailable, Unsupported
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.policy import Policy, RequestsPerConnection, RequireMutualTls
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform, ProxyHop
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.access.permissions import APPLIED, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.workloads import manifests

AMBIENT = f"{DOCS}/ambient"
ARCHITECTURE = f"{AMBIENT}/architecture/data-plane"
UPGRADE = f"{AMBIENT}/upgrade/helm/"
LAYER_7 = f"{AMBIENT}/usage/l7-features"
REDIRECTION = f"{AMBIENT}/architecture/traffic-redirection"
HBONE = f"{AMBIENT}/architecture/hbone"
DRAINING = "https://github.com/istio/istio/blob/master/releasenotes/notes/waypoint-termination-grace-period.yaml"
CHANGES = "https://istio.io/latest/news/releases/1.30.x/announcing-1.30/change-notes/"
ZTUNNEL = "https://github.com/istio/ztunnel/blob/master/src/config.rs"
PROXY_HEADERS = "https://github.com/istio/istio/blob/1.30.3/pilot/pkg/networking/core/listener_waypoint.go"
"""A waypoint's routes do not ask Envoy for the header with the number of the attempt."""
CERTIFICATE = "https://github.com/istio/ztunnel/blob/master/src/tls/certificate.rs"
"""istiod's response to a certificate request ends with the roots to trust from then on."""


LEAF_LIFETIME = 240.0
"""Seconds. ztunnel renews after half of the validity, which begins two minutes in the past: here every minute."""

BACKDATED = 120.0
"""Seconds between the beginning of a certificate's validity and its issue."""

RENEWALS = "https://github.com/istio/ztunnel/blob/master/src/identity/manager.rs"
RETRIED_WITHIN = 180.0
"""Seconds: ztunnel repeats a failed renewal after up to 150 s, and a fifth more."""

MODE = "istio.io/dataplane-mode"
LABELS = {
    # enrolment: labels of a pod
    Enrolment.ENROLLED: {MODE: "ambient"},
    Enrolment.UNENROLLED: {MODE: "none"},
    Enrolment.IMPERSONATED: {MODE: "none", "networking.istio.io/tunnel": "http"},
}
"""The last one makes istiod's ambient index treat a workload as one that terminates tunnels itself, like waypoints."""

CNI_PODS = "k8s-app=istio-cni-node"
ZTUNNEL_PODS = "app=ztunnel"
"""Labels of the daemons' pods, which need not be in the namespace of istiod, for example on OpenShift:
https://istio.io/latest/docs/ambient/install/platform-prerequisites/"""

UNSUPPORTED: Mapping[Capability, tuple[str, str]] = {
    Capability.CONNECTION_REUSE: (HBONE, "tunnels are pooled without a limit of requests"),
    Capability.REQUIRED_MTLS: (ARCHITECTURE, "a ztunnel calls workloads that are not part of the mesh in plaintext"),
    Capability.UPGRADE: (UPGRADE, "a ztunnel is upgraded in place at the cost of a short downtime of its node"),
}

NOT_OF_TUNNELS: Mapping[type[Policy], Capability] = {
    RequestsPerConnection: Capability.CONNECTION_REUSE,
    RequireMutualTls: Capability.REQUIRED_MTLS,
}
"""Policies of DestinationRules, which say nothing about tunnels."""

SUPPORTED: Mapping[Capability, str] = {
    Capability.PERMISSIVE_SERVER_FIRST: ARCHITECTURE,
    Capability.LEAF_ROTATION: ZTUNNEL,
    Capability.PROXY_RESTART: UPGRADE,
    Capability.RETRY: LAYER_7,
    Capability.RETRY_GRPC: LAYER_7,
    Capability.PER_TRY_TIMEOUT: LAYER_7,
    Capability.TIMEOUT: LAYER_7,
    Capability.TIMEOUT_GRPC: LAYER_7,
}

AMBIENT_CLAIMS: Mapping[Capability, Claim] = {
    **CLAIMS,
    **{capability: Claim(False, source, note) for capability, (source, note) in UNSUPPORTED.items()},
    **{capability: Claim(True, source) for capability, source in SUPPORTED.items()},
    Capability.PEER_IDENTITY: Claim(True, CHANGES, "by the waypoint, if it is configured to", since="1.30.0"),
    Capability.PROXY_REPLACEMENT: Claim(
        True, DRAINING, "of the waypoint; a ztunnel that is replaced ends connections after a grace period", "1.28.0"
    ),
}

GIVEN: Mapping[Capability, Claim] = {
    Capability.LEAF_ROTATION: Claim(False, ZTUNNEL, LIFETIME_IS_GIVEN),
    Capability.PROXY_REPLACEMENT: Claim(False, DRAINING, "by default an installed waypoint drains for 5 s only"),
}

BEFORE: Mapping[Capability, tuple[tuple[int, int], Claim]] = {
    # capability: the first minor version that has it, the claim before
    Capability.PEER_IDENTITY: (
        (1, 30),
        Claim(False, CHANGES, "before 1.30 waypoints do not pass the caller's identity to the application", "1.30.0"),
    ),
    Capability.PROXY_REPLACEMENT: (
        (1, 28),
        Claim(False, DRAINING, "before 1.28 a waypoint has 2 s to drain", "1.28.0"),
    ),
}

AMBIENT_DOCUMENTED: Documented = replace(
    ROUTED,
    mtls=replace(ROUTED.mtls, silent_refused_as=frozenset({Ending.RESET, Ending.CLOSED})),
    identity=replace(ROUTED.identity, sources={**ROUTED.identity.sources, "headers": CHANGES}),
    retry=replace(ROUTED.retry, attempt_header="", sources={**ROUTED.retry.sources, "attempt_header": PROXY_HEADERS}),
    rotation=replace(
        ROUTED.rotation,
        leaf_lifetime=LEAF_LIFETIME,
        leaf_renewed_within=75.0,
        issuer_acts_within=90.0,
        roots_act_within=90.0,
        sources={
            **ROUTED.rotation.sources,
            "leaf_lifetime": ZTUNNEL,
            "leaf_renewed_within": ZTUNNEL,
            "roots_act_within": CERTIFICATE,
        },
    ),
    outage=replace(
        ROUTED.outage,
        leaf_lifetime=LEAF_LIFETIME,
        renewal_due=LEAF_LIFETIME / 2 - BACKDATED / 2,
        heals_within=RETRIED_WITHIN,
        sources={
            **ROUTED.outage.sources,
            "leaf_lifetime": ZTUNNEL,
            "renewal_due": CERTIFICATE,
            "heals_within": RENEWALS,
        },
    ),
    lifecycle=LifecyclePromises(sources={"application_waits": REDIRECTION, "job_ends_within": REDIRECTION}),
    network=NetworkPromises(
        inbound_port=waypoint.HBONE_PORT, sources={"inbound_port": f"{DOCS}/ambient/usage/networkpolicy/"}
    ),
)

PROFILE = {"profile": "ambient"}
SECRET_TTL = f"{LEAF_LIFETIME:.0f}s"
PROXIES = {
    "meshConfig": {
        "defaultConfig": {
            "proxyMetadata": {
                "PROXY_CONFIG_XDS_AGENT": "true",
                "SECRET_TTL": SECRET_TTL,
                "EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true",
            }
        }
    }
}
"""Settings of the waypoint. The first makes it accept a second root, as with sidecars; with the last it drains until
no request is under way, instead of for 5 s."""


class AmbientMesh(HttpRouteMesh):
    """Mutual TLS between ztunnels; a waypoint applies retries and timeouts, configured by HTTPRoutes."""

    name = "istio-ambient"
    kind_config = "istio-ambient.yaml"
    given = GIVEN
    data_plane_in_workload = False
    sidecar = ""
    plaintext_by_address = ()
    documented: Documented = AMBIENT_DOCUMENTED
    resources: ClassVar[Sequence[Permission]] = (
        *HttpRouteMesh.resources,
        Permission(gateway_api.GROUP, "httproutes", ("list", "watch")),
        Permission(gateway_api.GROUP, "gateways", (*APPLIED, "list", "watch")),
        Permission(gateway_api.GROUP, "gatewayclasses", ("get",)),
    )

    def __init__(self, request: MeshRequest) -> None:
        super().__init__(request, AMBIENT_CLAIMS)
        self._hop: ProxyHop | None = None
        self._ztunnel = NodeDaemon(SYSTEM, ZTUNNEL_PODS, SIDECAR)  # its container has the name of sidecars
        self._judged_as(self.version)

    def releases(self) -> Sequence[Release]:
        """The charts: definitions, istiod, the CNI agent that redirects pods' traffic to ztunnel, and ztunnel."""
        return (
            Release("istio-base", "base", SYSTEM),
            Release("istiod", "istiod", SYSTEM, {**CONTROL_PLANE, **PROFILE, **PROXIES}),
            Release("istio-cni", "cni", SYSTEM, {**PROFILE, "resources": LEAST}),
            Release("ztunnel", "ztunnel", SYSTEM, {**PROFILE, "resources": LEAST, "env": {"SECRET_TTL": SECRET_TTL}}),
        )

    async def install(self, platform: Platform) -> None:
        """Install Istio, unless it is already installed, and then a waypoint for this stage.

        Raises:
            MeshUnavailable: The Gateway API definitions cannot be fetched, or another Istio is installed.
            Inconclusive: Istio or the waypoint does not become ready.
        """
        await super().install(platform)
        api, owner = await self.platform.api(), self.platform.owner
        _, home = self.namespaces
        await api.apply(manifests.namespace(owner, home))
        await api.apply(revisions.labelled(waypoint.gateway(home, owner.labels), self.revision))
        self._hop = await waypoint.ready(api, home, INSTALLED_WITHIN * self.scale)
        await self.platform.watch_data_planes(ZTUNNEL_PODS, waypoint.pods(owner.labels))

    @property
    def namespaces(self) -> Sequence[str]:
        """That of Istio, and that of the waypoint of this stage."""
        return (self.namespace, self.platform.owner.namespace(waypoint.NAME))

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """A label per pod; requests of enrolled callers to any service pass the waypoint."""
        return Metadata(LABELS[workload.enrolment], namespace_labels=waypoint.used_in(workload.namespace))

    def namespace_enrolment(self) -> Metadata:
        """Labels that redirect every pod's traffic through ztunnel; a waypoint is up to the namespace."""
        return Metadata(LABELS[Enrolment.ENROLLED])

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as PeerAuthentications and HTTPRoutes of the control plane.

        Raises:
            Unsupported: They have no field for a policy.
        """
        for policy in policies:
            if (capability := NOT_OF_TUNNELS.get(type(policy))) is not None:
                source, why = UNSUPPORTED[capability]
                raise Unsupported(f"{why} ({source})")
        return [revisions.labelled(one, self.revision) for one in super().render(policies)]

    def hops(self, client: WorkloadSpec) -> Sequence[ProxyHop]:
        """The waypoint, if the client is enrolled."""
        return (self._hop,) if self._hop and client.enrolment is Enrolment.ENROLLED else ()

    async def settled(self) -> None:
        """Also wait until istiod has accepted the HTTPRoutes of this stage; Inconclusive if it rejects one."""
        await super().settled()
        namespaces = {running.spec.namespace for running in self.platform.running.values()}
        within = self.documented.follows_within * self.scale
        await gateway_api.routes_taken(await self.platform.api(), namespaces, within)

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The tunnel port of ztunnel at the workload's address; each connection has a tunnel of its own."""
        address, number = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        tunnel = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
        return TlsEndpoint((address, waypoint.HBONE_PORT), None, ("h2",), tunnel)

    async def kill_data_plane(self, workload: Workload) -> None:
        """Kill the ztunnel of a workload's node, and wait until the kubelet has started another one."""
        await self._ztunnel.restart(self.platform, workload, ready=False)

    async def restart_data_plane(self, workload: Workload) -> None:
        """The same, and wait until it is ready."""
        await self._ztunnel.restart(self.platform, workload)

    @asynccontextmanager
    async def data_plane_replacement(self, workload: Workload) -> AsyncIterator[None]:
        """Roll out the waypoint anew, which all requests to services pass; the old one drains while the block runs."""
        api, (_, home) = await self.platform.api(), self.namespaces
        await restart(api, home, (waypoint.NAME,))
        self._hop = await waypoint.ready(api, home, INSTALLED_WITHIN * self.scale)
        yield

    async def ready(self, api: Api) -> None:
        """Wait until istiod serves, and every node has a ztunnel."""
        within = INSTALLED_WITHIN * self.scale
        await rolled_out(api, SYSTEM, self.control_plane_deployments, within)
        await every_node(api, CNI_PODS, within)
        self._ztunnel = replace(self._ztunnel, namespace=await every_node(api, ZTUNNEL_PODS, within))

    async def detect(self, api: Api) -> None:
        """Detect the version by istiod's image, and check that waypoints are possible."""
        await super().detect(api)
        if await api.read(f"{gateway_api.SERVED}/gatewayclasses/{waypoint.CLASS}") is None:
            raise MeshUnavailable(
                f"the cluster has no GatewayClass {waypoint.CLASS}: install the definitions of the Gateway API, and "
                "istiod in its profile ambient"
            )
        self._judged_as(self.version)

    def _judged_as(self, version: str) -> None:
        minor = tuple(map(int, re.findall(r"\d+", version)[:2]))
        self.claims = {**self.claims, **{what: claim for what, (since, claim) in BEFORE.items() if minor < since}}


def ambient(request: MeshRequest) -> AmbientMesh:
    """Istio in ambient mode."""
    return AmbientMesh(request)
