"""Istio with a sidecar in each workload's pod."""

import asyncio
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.istio import policies as istio, revisions, roots
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCUMENTED, LEAF_LIFETIME
from pytest_meshcheck.meshes.istio.modes import MODES
from pytest_meshcheck.meshes.istio.revisions import ISTIOD, UNNAMED
from pytest_meshcheck.meshes.kubernetes.authority_input import logged
from pytest_meshcheck.meshes.kubernetes.controlled import ControlledMesh
from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN, secret
from pytest_meshcheck.meshes.kubernetes.modes import refuse_other
from pytest_meshcheck.meshes.kubernetes.readiness import as_injected, form_of, injects, rolled_out, touch
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.meshes.xfcc import HEADER, caller
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.bundle_form import written
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import spiffe_id
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata, Platform
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.access.permissions import APPLIED, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.evidence.state import Dump
from pytest_meshcheck.probe.protocol.protocols import HTTP_1, HTTP_2

SYSTEM = istio.ROOT_NAMESPACE
SIDECAR = "istio-proxy"
INJECT = "sidecar.istio.io/inject"

CHARTS = frozenset({"base", "istiod", "cni", "ztunnel"})

LEASE = 30.0
"""Seconds for which the leader lease of a killed istiod lasts; its successor announces no roots before that.

pilot/pkg/leaderelection/leaderelection.go
"""

DISCOVERY = "discovery"
COMPLAINT = re.compile(r"\terror\t.*(cert|signing file)", re.IGNORECASE)
"""How istiod says that it cannot use the files: pilot/pkg/bootstrap/istio_ca.go, handleEvent."""

ROOT_STEPS = (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH, Rotation.ROOT_DROP)

POLICIES = (
    "security.istio.io",
    "networking.istio.io",
    "telemetry.istio.io",
    "extensions.istio.io",
    "gateway.networking.k8s.io",
)
DUMPS = (
    # of a sidecar, a waypoint or a ztunnel, in whose charts the container has the same name; a ztunnel has no /stats
    Dump("config.json", 15000, "/config_dump?include_eds"),
    Dump("stats.txt", 15000, "/stats?usedonly"),
)

KEYS = {"ECC_SIGNATURE_ALGORITHM": "ECDSA"}
"""EC keys: a sidecar makes a key per certificate, here every few seconds, and RSA keys would keep it busy.

https://istio.io/latest/docs/reference/commands/pilot-agent/#envvars
"""

INJECTED = {
    # enrolment: labels of a pod
    Enrolment.ENROLLED: {INJECT: "true"},
    Enrolment.UNENROLLED: {INJECT: "false"},
    Enrolment.IMPERSONATED: {INJECT: "false", "security.istio.io/tlsMode": "istio"},
}

ALPN: Mapping[str | None, str] = {HTTP_1: "istio-http/1.1", HTTP_2: "istio-h2", None: "istio"}
"""By which a permissive sidecar tells its own kind's TLS from an application's, by the version of HTTP inside;
pilot/pkg/networking/util/util.go."""

UNROUTED = ("tcp", "tcp-banner")
"""Ports on which nothing but the address says where a connection goes. To the address of a pod it is passed through as
it is; a request finds its service by its authority.

https://istio.io/latest/docs/ops/configuration/traffic-management/traffic-routing/#unmatched-traffic
"""

LEAST = {"requests": {"cpu": "10m", "memory": "64Mi"}}
"""The resource requests of a proxy of the stage. The charts' own are for production, too much for a laptop."""

CONTROL_PLANE = {
    "pilot": {
        "env": {"ISTIO_MULTIROOT_MESH": "true"},
        "resources": {"requests": {"cpu": "10m", "memory": "128Mi"}},
    },
    "global": {"proxy": {"resources": LEAST}, "waypoint": {"resources": LEAST}},
    "meshConfig": {"defaultConfig": {"proxyMetadata": {"PROXY_CONFIG_XDS_AGENT": "true"}}},
}
"""Without both settings for roots, a second root never reaches the sidecars."""


class IstioMesh(ControlledMesh):
    """Istio's sidecar mode; policies are written as PeerAuthentication, VirtualService and DestinationRule."""

    name = "istio"
    namespace = SYSTEM
    repository = "https://istio-release.storage.googleapis.com/charts"
    newest = "1.30.3"
    policies = POLICIES
    dumps: ClassVar[Mapping[str, Sequence[Dump]]] = {SIDECAR: DUMPS}
    data_plane_in_workload = True
    sidecar = SIDECAR
    plaintext_by_address: Collection[str] = UNROUTED
    documented: Documented = DOCUMENTED
    resources: ClassVar[Sequence[Permission]] = (
        Permission("security.istio.io", "peerauthentications", (*APPLIED, "delete")),
        Permission("networking.istio.io", "virtualservices", (*APPLIED, "delete")),
        Permission("networking.istio.io", "destinationrules", (*APPLIED, "delete")),
    )

    def __init__(self, request: MeshRequest, claims: Mapping[Capability, Claim] = CLAIMS) -> None:
        self.revision = UNNAMED
        self._leaving: str | None = None
        super().__init__(request, claims)

    def releases(self) -> Sequence[Release]:
        """The charts: definitions, then istiod; in a canary upgrade the old istiod validates until all have moved."""
        default = self.revision if self._leaving is None else self._leaving
        return (revisions.definitions(default), revisions.control_plane(self.revision, CONTROL_PLANE))

    def there(self) -> Sequence[Release]:
        """The possibly installed charts: during a canary upgrade the old istiod, too."""
        leaving = () if self._leaving is None else (revisions.control_plane(self._leaving, CONTROL_PLANE),)
        return (*self.releases(), *leaving)

    async def install_alongside(self, version: str) -> None:
        """Install istiod of a second version under a revision.

        Raises:
            MeshUnavailable: There are no charts of that version.
            Inconclusive: The new istiod does not become ready.
        """
        self.switch_version(version)
        self._leaving, self.revision = self.revision, revisions.revision_of(self.version)
        await self.have_charts()

    async def retire(self) -> None:
        """Move validation to the new istiod, then uninstall the old one; in this order no configuration is refused.

        Raises:
            Inconclusive: The old one cannot be removed, or the new one is not ready without it.
        """
        self._leaving = None
        await self.have_charts()

    @property
    def authority_deployments(self) -> Sequence[str]:
        """The deployment of istiod, which is authority and control plane in one."""
        return (revisions.istiod(self.revision),)

    @property
    def control_plane_deployments(self) -> Sequence[str]:
        """The same."""
        return self.authority_deployments

    @property
    def settings(self) -> Sequence[str]:
        """The ConfigMap of the mesh-wide configuration, e.g. the default retries."""
        suffix = f"-{self.revision}" if self.revision else ""
        return (f"/api/v1/namespaces/{SYSTEM}/configmaps/istio{suffix}",)

    @property
    def charts(self) -> Collection[str]:
        """The charts of every mode, so that one file of values fits all."""
        return CHARTS

    def tag(self) -> str:
        """The value ``global.tag`` of istiod's chart; empty if it is not a version."""
        tags = [one["global"].get("tag") for one in self.overrides_of(self.releases()[1]) if "global" in one]
        return revisions.released(str(next(filter(None, reversed(tags)), "")))

    def secrets_of(self, files: AuthorityFiles) -> Sequence[Manifest]:
        """The plugged-in authority; istiod itself adds the roots to the chain."""
        data = {
            "ca-cert.pem": files.certificate,
            "ca-key.pem": files.key,
            "cert-chain.pem": files.chain,
            "root-cert.pem": files.roots,
        }
        return [secret(SYSTEM, "cacerts", data)]

    def authority_files(self) -> AuthorityFiles:
        """The root of the signer first: only a changed order makes the agents request new certificates."""
        root = self.authority.issuer.root
        roots = (root, *(other for other in self.authority.roots if other != root))
        return AuthorityFiles.under(self.authority.issuer, written(roots, self.authority.form))

    async def complaints(self, api: Api) -> Collection[str]:
        """The errors about certificates in the log of istiod."""
        return await logged(api, SYSTEM, ISTIOD, DISCOVERY, COMPLAINT)

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """Labels for injection, per pod, and the lifetime of the workload's certificates."""
        if workload.enrolment is not Enrolment.ENROLLED:
            return Metadata(INJECTED[workload.enrolment])
        labels = INJECTED[workload.enrolment] | revisions.labels(self.revision)
        lifetime = round(workload.leaf_lifetime or LEAF_LIFETIME)
        settings = KEYS | {"SECRET_TTL": f"{lifetime}s"}
        if workload.renewed_after is not None:
            settings |= {
                "SECRET_GRACE_PERIOD_RATIO": f"{1 - workload.renewed_after / lifetime:.2f}",
                "SECRET_GRACE_PERIOD_RATIO_JITTER": "0",
            }
        config = json.dumps({"proxyMetadata": settings})
        return Metadata(labels, {"proxy.istio.io/config": config})

    def namespace_enrolment(self) -> Metadata:
        """The label for injection into every pod, by the installed revision."""
        return Metadata(revisions.labels(self.revision) or {revisions.INJECTION: "enabled"})

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as PeerAuthentications, VirtualServices and DestinationRules."""
        return [*istio.access(policies), *istio.traffic(policies)]

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The workload's SPIFFE ID."""
        return spiffe_id(self.trust_domain, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The SPIFFE ID in the header x-forwarded-client-cert, set by the server's sidecar."""
        return caller(attempt.header(HEADER) or "")

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application's own port, which the sidecar intercepts."""
        address = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        spoken = workload.spec.port(port).protocol.facts
        return TlsEndpoint(address, workload.spec.authority, (ALPN[spoken.http],))

    async def install(self, platform: Platform) -> None:
        """Install Istio as usual, and delete the mesh-wide policy of a killed run."""
        await super().install(platform)
        if self.installed_by_run:
            await self._delete_wide_policy()

    async def uninstall(self) -> None:
        """Remove Istio as usual, or the mesh-wide policy of a killed run from one that was installed before."""
        await self._delete_wide_policy()
        await super().uninstall()

    async def _delete_wide_policy(self) -> None:
        api = await self.platform.api()
        if await api.knows(istio.WIDE["apiVersion"], istio.WIDE["kind"]):
            await api.delete(istio.WIDE)

    async def ready(self, api: Api) -> None:
        """Wait until istiod serves, and until its webhook adds a sidecar to a pod."""
        within = INSTALLED_WITHIN * self.scale
        await rolled_out(api, SYSTEM, [revisions.istiod(self.revision)], within)
        pod = Metadata({INJECT: "true"} | revisions.labels(self.revision))
        owner = self.platform.owner
        sidecar = await injects(api, owner, pod, lambda container: container["name"] == SIDECAR, within)
        self.data_planes = form_of(sidecar)
        self.documented = as_injected(self.documented, sidecar)

    async def detect(self, api: Api) -> None:
        """Detect the revision and version of istiod, and check that the mode is that of the adapter."""
        self.revision, self.version = await revisions.installed(api)
        await refuse_other(api, self.name, f"istio {self.version} in {SYSTEM}", MODES)

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Make istiod read the new Secret, and wait until it announces the new roots.

        istiod must see every step: it refuses a bundle that has no root in common with the previous one. One that does
        not announce them in time is left to the check, whose data planes do not learn of them either.
        """
        if what not in ROOT_STEPS:
            await touch(api, SYSTEM, ISTIOD, what)
            return
        within = (self.documented.rotation.roots_act_within + LEASE) * self.scale
        try:
            async with asyncio.timeout(within) as limit:
                await roots.adopted(api, frozenset(self.authority.roots), what)
        except TimeoutError:
            if not limit.expired():
                raise
            self.platform.journal.add("roots not announced", what, f"within {within:.0f} s; istiod's log says why")


def sidecars(request: MeshRequest) -> IstioMesh:
    """Istio in sidecar mode."""
    return IstioMesh(request)
