"""Istio with a sidecar in each workload's pod."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pytest_meshcheck.meshes.base import Documented, Rotation, TlsEndpoint
from pytest_meshcheck.meshes.envoy.xfcc import HEADER, caller
from pytest_meshcheck.meshes.helm_mesh import INSTALLED_WITHIN, HelmMesh, secret
from pytest_meshcheck.meshes.istio import policies as istio
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCUMENTED, LEAF_LIFETIME
from pytest_meshcheck.meshes.readiness import deployments, injects, rolled_out
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.api import Api
from pytest_meshcheck.platforms.kubernetes.helm import Release
from pytest_meshcheck.platforms.kubernetes.permissions import APPLIED, Permission
from pytest_meshcheck.stage.capability import Capability, Claim
from pytest_meshcheck.stage.faults import Inconclusive, MeshUnavailable
from pytest_meshcheck.stage.observation import Attempt, Protocol
from pytest_meshcheck.stage.pki import key_pem, pem, spiffe_id
from pytest_meshcheck.stage.policy import Policy
from pytest_meshcheck.stage.workload import Enrolment, Via, Workload, WorkloadSpec

SYSTEM = istio.ROOT_NAMESPACE
PODS = f"/api/v1/namespaces/{SYSTEM}/pods"

ANNOUNCED = f"/api/v1/namespaces/{SYSTEM}/configmaps/istio-ca-root-cert"
ISTIOD = "app=istiod"
SIDECAR = "istio-proxy"
INJECT = "sidecar.istio.io/inject"

PAUSE = 1.0
ROOT_STEPS = (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH, Rotation.ROOT_DROP)

INJECTED = {
    # enrolment: labels of a pod
    Enrolment.ENROLLED: {INJECT: "true"},
    Enrolment.UNENROLLED: {INJECT: "false"},
    Enrolment.FEIGNED: {INJECT: "false", "security.istio.io/tlsMode": "istio"},
}

ALPN: Mapping[Protocol, tuple[str, ...]] = {
    Protocol.HTTP1: ("istio-http/1.1",),
    Protocol.H2C: ("istio-h2",),
    Protocol.GRPC: ("istio-h2",),
    Protocol.TCP: ("istio",),
}
"""By which a permissive sidecar tells its own kind's TLS from an application's; pilot/pkg/networking/util/util.go."""

CONTROL_PLANE = {
    "pilot": {"env": {"ISTIO_MULTIROOT_MESH": "true"}},
    "meshConfig": {"defaultConfig": {"proxyMetadata": {"PROXY_CONFIG_XDS_AGENT": "true"}}},
}
"""Without both a second root never reaches the sidecars."""


class IstioMesh(HelmMesh):
    """Istio's sidecar mode; policies are spelled as PeerAuthentication, VirtualService and DestinationRule."""

    name = "istio"
    namespace = SYSTEM
    repository = "https://istio-release.storage.googleapis.com/charts"
    newest = "1.30.3"
    data_plane_in_workload = True
    documented: Documented = DOCUMENTED
    resources: ClassVar[Sequence[Permission]] = (
        Permission("security.istio.io", "peerauthentications", (*APPLIED, "delete")),
        Permission("networking.istio.io", "virtualservices", (*APPLIED, "delete")),
        Permission("networking.istio.io", "destinationrules", (*APPLIED, "delete")),
    )

    def __init__(self, order: Order, claims: Mapping[Capability, Claim] = CLAIMS) -> None:
        super().__init__(order, claims)

    def releases(self) -> Sequence[Release]:
        """Definitions, then istiod."""
        return (Release("istio-base", "base", SYSTEM), Release("istiod", "istiod", SYSTEM, CONTROL_PLANE))

    def secrets(self) -> Sequence[Manifest]:
        """The plugged-in authority; istiod adds the roots to the chain by itself."""
        issuer, roots = self.authority.issuer, self._roots()
        return [
            secret(
                SYSTEM,
                "cacerts",
                {
                    "ca-cert.pem": pem(issuer.certificate),
                    "ca-key.pem": key_pem(issuer.key),
                    "cert-chain.pem": pem(*issuer.chain),
                    "root-cert.pem": roots,
                },
            )
        ]

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """Injection pod by pod, and how long the workload's certificates live."""
        if workload.enrolment is not Enrolment.ENROLLED:
            return Metadata(INJECTED[workload.enrolment])
        lifetime = round(workload.leaf_lifetime or LEAF_LIFETIME)
        config = json.dumps({"proxyMetadata": {"SECRET_TTL": f"{lifetime}s"}})
        return Metadata(INJECTED[workload.enrolment], {"proxy.istio.io/config": config})

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """PeerAuthentications, and for each service its VirtualService."""
        return [*istio.mutual_tls(policies), *istio.traffic(policies)]

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The workload's SPIFFE ID."""
        return spiffe_id(self.trust_domain, workload.namespace, workload.service_account)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The SPIFFE ID that the server's sidecar adds to the header x-forwarded-client-cert."""
        return caller(attempt.header(HEADER) or "")

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application's own port: the sidecar takes what is sent there."""
        address = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint(address, workload.spec.authority, ALPN[workload.spec.port(port).protocol])

    async def ready(self, api: Api) -> None:
        """Wait until istiod serves, and until its webhook adds a sidecar to a pod."""
        within = INSTALLED_WITHIN * self.scale
        await rolled_out(api, SYSTEM, ["istiod"], within)
        await injects(api, Metadata({INJECT: "true"}), lambda container: container["name"] == SIDECAR, within)

    async def detect(self, api: Api) -> None:
        """The version that istiod's image says."""
        istiod = await api.read(f"{deployments(SYSTEM)}/istiod")
        if istiod is None:
            raise MeshUnavailable(f"there is no istiod in {SYSTEM}: leave --mesh-installed out to have it installed")
        labels = istiod["spec"]["template"]["metadata"].get("labels", {})
        image = istiod["spec"]["template"]["spec"]["containers"][0]["image"]
        self.version = labels.get("app.kubernetes.io/version") or image.rpartition(":")[2].partition("-")[0]

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Have istiod read the new Secret, and wait until it announces the new roots.

        A step that istiod never saw would make it refuse the next one, as then no bundle holds the other.

        Raises:
            Inconclusive: It does not take the roots over.
        """
        await self._touch(api, what)
        until = time.monotonic() + self.documented.roots_act_within * self.scale
        while what in ROOT_STEPS and await self._announced(api) != self._roots().decode().split():
            if time.monotonic() > until:
                raise Inconclusive(f"istiod does not announce the roots of the step {what}; its log says why")
            await asyncio.sleep(PAUSE)
            await self._touch(api, what)

    async def _touch(self, api: Api, what: Rotation) -> None:
        """Change istiod's pods: the kubelet then brings them the Secret at once, not within a minute."""
        pods, _ = await api.items(PODS, ISTIOD)
        for pod in pods:
            annotations = {"meshcheck.dev/rotated": f"{what} {time.time_ns()}"}
            metadata = {"name": pod["metadata"]["name"], "namespace": SYSTEM, "annotations": annotations}
            await api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})

    async def _announced(self, api: Api) -> list[str]:
        """The roots that istiod writes into every namespace, as words of PEM."""
        written = await api.read(ANNOUNCED) or {}
        return str(written.get("data", {}).get("root-cert.pem", "")).split()

    def _roots(self) -> bytes:
        """The signer's own root first: only a change of the order makes the agents ask for new certificates."""
        root = self.authority.issuer.root
        return pem(root, *(other for other in self.authority.roots if other != root))


def sidecars(order: Order) -> IstioMesh:
    """Istio in sidecar mode."""
    return IstioMesh(order)
