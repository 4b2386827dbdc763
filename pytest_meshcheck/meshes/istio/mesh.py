"""Istio with a sidecar in each workload's pod."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence

from kubernetes_asyncio.client import ApiException

from pytest_meshcheck.meshes.base import Documented, Rotation, TlsEndpoint
from pytest_meshcheck.meshes.envoy.xfcc import HEADER, caller
from pytest_meshcheck.meshes.helm_mesh import INSTALLED_WITHIN, HelmMesh, secret
from pytest_meshcheck.meshes.istio import policies as istio
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCUMENTED, LEAF_LIFETIME
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.api import Api, Object
from pytest_meshcheck.platforms.kubernetes.evidence import trouble
from pytest_meshcheck.platforms.kubernetes.helm import Release
from pytest_meshcheck.stage.capability import Capability, Claim
from pytest_meshcheck.stage.faults import Inconclusive, MeshUnavailable
from pytest_meshcheck.stage.observation import Attempt, Protocol
from pytest_meshcheck.stage.pki import key_pem, pem, spiffe_id
from pytest_meshcheck.stage.policy import Policy
from pytest_meshcheck.stage.workload import Enrolment, Via, Workload, WorkloadSpec

SYSTEM = istio.ROOT_NAMESPACE
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments"
PODS = f"/api/v1/namespaces/{SYSTEM}/pods"
SAMPLES = "/api/v1/namespaces/default/pods"
"""Where pods are tried out that are never created."""

ISTIOD = "app=istiod"
SIDECAR = "istio-proxy"
INJECT = "sidecar.istio.io/inject"
PAUSE = 0.2

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
    documented: Documented = DOCUMENTED

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
        await self._available(api, "istiod")
        await self._injects(api)

    async def detect(self, api: Api) -> None:
        """The version that istiod's image says."""
        istiod = await api.read(f"{DEPLOYMENTS}/istiod")
        if istiod is None:
            raise MeshUnavailable(f"there is no istiod in {SYSTEM}: leave --mesh-installed out to have it installed")
        labels = istiod["spec"]["template"]["metadata"].get("labels", {})
        image = istiod["spec"]["template"]["spec"]["containers"][0]["image"]
        self.version = labels.get("app.kubernetes.io/version") or image.rpartition(":")[2].partition("-")[0]

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Touch istiod's pods: the kubelet then brings them the new Secret at once, not within a minute."""
        pods, _ = await api.items(PODS, ISTIOD)
        for pod in pods:
            annotations = {"meshcheck.dev/rotated": f"{what} {time.time_ns()}"}
            metadata = {"name": pod["metadata"]["name"], "namespace": SYSTEM, "annotations": annotations}
            await api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})

    def _roots(self) -> bytes:
        """The signer's own root first: only a change of the order makes the agents ask for new certificates."""
        root = self.authority.issuer.root
        return pem(root, *(other for other in self.authority.roots if other != root))

    async def _available(self, api: Api, name: str) -> None:
        found: list[Object] = []

        def available(deployments: Sequence[Object]) -> bool:
            found[:] = [one for one in deployments if one["metadata"]["name"] == name]
            return bool(found) and rolled_out(found[0])

        try:
            await api.until(DEPLOYMENTS, "", available, INSTALLED_WITHIN * self.scale)
        except TimeoutError as late:
            seconds = INSTALLED_WITHIN * self.scale
            raise Inconclusive(
                f"{name} in {SYSTEM} is not available after {seconds:.0f} s: {await trouble(api, SYSTEM)}"
            ) from late

    async def _injects(self, api: Api) -> None:
        """What the webhook makes of a pod that is never created."""
        until = asyncio.get_running_loop().time() + INSTALLED_WITHIN * self.scale
        while True:
            try:
                pod = await api.request("POST", SAMPLES, [("dryRun", "All")], _sample())
                containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
                if any(container["name"] == SIDECAR for container in containers):
                    return
                seen = "it adds no sidecar"
            except ApiException as error:
                seen = f"{error.status} {error.reason}"
            if asyncio.get_running_loop().time() > until:
                raise Inconclusive(f"istiod's webhook adds no sidecar to pods: {seen}; can the API server reach it?")
            await asyncio.sleep(PAUSE)


def _sample() -> Manifest:
    metadata = {"generateName": "meshcheck-", "namespace": "default", "labels": {INJECT: "true"}}
    containers = [{"name": "sample", "image": "none"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def rolled_out(deployment: Object) -> bool:
    """Whether all replicas are of the newest generation, and serve."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = [status.get(field, 0) for field in ("updatedReplicas", "availableReplicas", "replicas")]
    return bool(seen and counts == [wanted] * 3)


def sidecars(order: Order) -> IstioMesh:
    """Istio in sidecar mode."""
    return IstioMesh(order)
