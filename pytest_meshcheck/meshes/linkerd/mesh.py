"""Linkerd with a proxy in each workload's pod."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from cryptography import x509

from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.kubernetes.authority_input import recorded
from pytest_meshcheck.meshes.kubernetes.controlled import ControlledMesh
from pytest_meshcheck.meshes.kubernetes.helm_mesh import INSTALLED_WITHIN, secret
from pytest_meshcheck.meshes.kubernetes.modes import InstalledMode, Trace, refuse_other
from pytest_meshcheck.meshes.kubernetes.readiness import (
    as_injected,
    deployments,
    form_of,
    injects,
    restart,
    rolled_out,
    touch,
)
from pytest_meshcheck.meshes.linkerd import preinstalled
from pytest_meshcheck.meshes.linkerd.access import servers
from pytest_meshcheck.meshes.linkerd.documented import CLAIMS, CLOCK_SKEW, DOCUMENTED, LEAF_LIFETIME
from pytest_meshcheck.meshes.linkerd.routes import routes
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.pki import certificates_in
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import PORTS, Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.access.permissions import APPLIED, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.evidence.state import Dump
from pytest_meshcheck.platforms.kubernetes.workloads.ports import NUMBERS

SYSTEM = "linkerd"
COMPONENTS = ("linkerd-identity", "linkerd-destination", "linkerd-proxy-injector")
COMPONENT = "linkerd.io/control-plane-component"
SIDECAR = "linkerd-proxy"
ANCHORS = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"
CALLER = "l5d-client-id"

COMPLAINTS = ("IssuerUpdateSkipped", "IssuerValidationFailed")
"""Reasons of events: https://github.com/linkerd/linkerd2/blob/edge-26.8.3/pkg/identity/service.go"""

IN_A_ROW = 5
"""Consecutive injections with the announced anchors: at first an old injector may still answer in between."""

IMPOSTOR_PORT = "http"
ENROLLED = {"linkerd.io/inject": "enabled"}
INJECTED: Mapping[Enrolment, Mapping[str, str]] = {
    # enrolment: annotations of a pod
    Enrolment.ENROLLED: ENROLLED,
    Enrolment.UNENROLLED: {"linkerd.io/inject": "disabled"},
    Enrolment.IMPERSONATED: ENROLLED | {"config.linkerd.io/control-port": str(NUMBERS[IMPOSTOR_PORT])},
}
"""The port of an impostor. It has a proxy, so that it counts as a member, and connections to the proxy's control port
bypass that proxy: clients still expect an identity there, and only the impostor listens on it, as the proxy has no tap.
On all other ports the proxy answers first."""

DEFINITIONS = {"enableHttpRoutes": True, "enableTcpRoutes": False, "enableTlsRoutes": False}
"""The kinds of Gateway API routes that ``render`` returns."""

CILIUM = Trace("there is a DaemonSet cilium", "/apis/apps/v1/daemonsets", "k8s-app=cilium", "cilium")
MODES = (
    InstalledMode(("linkerd+cilium",), "on Cilium's network", (CILIUM,)),
    InstalledMode(("linkerd",), "on another network than Cilium's", otherwise="there is no DaemonSet cilium"),
)
"""The modes: Linkerd's view of connections depends on the network below it."""

OPAQUE = "25,587,3306,4444,5432,6379,9300,11211"
SERVER_FIRST = ",".join(str(NUMBERS[port.name]) for port in PORTS if port.server_first)

CONTROL_PLANE = {
    "disableHeartBeat": True,
    "webhookFailurePolicy": "Fail",  # as in values-ha.yaml; by default pods start without a proxy in an outage
    "proxy": {"opaquePorts": f"{OPAQUE},{SERVER_FIRST}"},
    "identity": {
        "externalCA": True,
        "issuer": {
            "scheme": "kubernetes.io/tls",
            "issuanceLifetime": f"{LEAF_LIFETIME:.0f}s",
            "clockSkewAllowance": f"{CLOCK_SKEW:.0f}s",
        },
    },
}
"""The authority comes as a Secret and a ConfigMap, not as values. Pods that cannot be injected are refused. If the
server speaks first there is no protocol to detect, so those ports join the ports that are opaque by default:
https://linkerd.io/2-edge/features/protocol-detection/"""


class LinkerdMesh(ControlledMesh):
    """Linkerd; policies are written as Server, HTTPRoute and GRPCRoute."""

    name = "linkerd"
    namespace = SYSTEM
    repository = "https://helm.linkerd.io/edge"
    newest = "edge-26.8.3"
    policies = ("policy.linkerd.io", "linkerd.io", "gateway.networking.k8s.io")
    dumps: ClassVar[Mapping[str, Sequence[Dump]]] = {SIDECAR: (Dump("metrics.txt", 4191, "/metrics"),)}
    data_plane_in_workload = True
    sidecar = SIDECAR
    impostor_ports = (IMPOSTOR_PORT,)
    given = preinstalled.GIVEN
    documented: Documented = DOCUMENTED
    resources = (
        Permission("policy.linkerd.io", "servers", (*APPLIED, "delete")),
        Permission("gateway.networking.k8s.io", "httproutes", (*APPLIED, "delete")),
        Permission("gateway.networking.k8s.io", "grpcroutes", (*APPLIED, "delete")),
    )

    def __init__(self, request: MeshRequest, claims: Mapping[Capability, Claim] = CLAIMS) -> None:
        super().__init__(request, claims)
        self._identities_end_in = self.trust_domain

    def releases(self) -> Sequence[Release]:
        """The charts: definitions, then the control plane."""
        return (
            Release("linkerd-crds", "linkerd-crds", SYSTEM, DEFINITIONS),
            Release("linkerd-control-plane", "linkerd-control-plane", SYSTEM, CONTROL_PLANE),
        )

    @property
    def authority_deployments(self) -> Sequence[str]:
        """The deployment of the identity service."""
        return COMPONENTS[:1]

    @property
    def control_plane_deployments(self) -> Sequence[str]:
        """All deployments but that of the identity service, without which certificates of the stage soon expire."""
        return COMPONENTS[1:]

    @property
    def settings(self) -> Sequence[str]:
        """The ConfigMap with the values of the installation."""
        return (f"/api/v1/namespaces/{SYSTEM}/configmaps/linkerd-config",)

    def secrets_of(self, files: AuthorityFiles) -> Sequence[Manifest]:
        """The issuer, and the trust anchors, which proxies read when they start."""
        issuer = {"tls.crt": files.certificate, "tls.key": files.key, "ca.crt": files.roots}
        return [
            secret(SYSTEM, "linkerd-identity-issuer", issuer),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "linkerd-identity-trust-roots", "namespace": SYSTEM},
                "data": {"ca-bundle.crt": files.roots.decode()},
            },
        ]

    async def complaints(self, api: Api) -> Collection[str]:
        """The events of the identity service about issuers that it does not take."""
        return await recorded(api, SYSTEM, COMPLAINTS)

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """Annotations for injection, per pod; the certificate lifetime is a setting of the whole mesh."""
        return Metadata(annotations=INJECTED[workload.enrolment])

    def namespace_enrolment(self) -> Metadata:
        """The annotation for injection into every pod."""
        return Metadata(annotations=ENROLLED)

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as Servers and routes."""
        return [*servers(policies), *routes(policies)]

    def identity_of(self, workload: WorkloadSpec) -> str:
        """The DNS name in the workload's certificate."""
        account = f"{workload.service_account}.{workload.namespace}"
        return f"{account}.serviceaccount.identity.{SYSTEM}.{self._identities_end_in}"

    def peer_identity(self, attempt: Attempt) -> str | None:
        """The identity in the header l5d-client-id, set by the server's proxy."""
        return attempt.header(CALLER)

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The application's own port; the proxy terminates TLS only for the workload's identity as server name."""
        address = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint(address, self.identity_of(workload.spec))

    async def ready(self, api: Api) -> None:
        """Wait until the control plane serves, and its webhook adds a proxy with the announced anchors."""
        within = INSTALLED_WITHIN * self.scale
        await rolled_out(api, SYSTEM, COMPONENTS, within)
        pod, owner = Metadata(annotations=ENROLLED), self.platform.owner
        sidecar = await injects(api, owner, pod, self._is_sidecar, within, in_a_row=IN_A_ROW)
        self.data_planes = form_of(sidecar)
        self.documented = as_injected(self.documented, sidecar)

    async def detect(self, api: Api) -> None:
        """Detect the version by the destination controller's label, the network, routes and the trust domain."""
        found = await api.read(f"{deployments(SYSTEM)}/linkerd-destination")
        if found is None:
            raise MeshUnavailable(f"no linkerd-destination in {SYSTEM}: omit --mesh-installed to install it")
        self.version = found["metadata"].get("labels", {}).get("app.kubernetes.io/version", "unknown")
        await refuse_other(api, self.name, f"linkerd {self.version} in {SYSTEM}", MODES)
        self.claims = await preinstalled.routed(api, self.claims)
        identity = await api.read(f"{deployments(SYSTEM)}/linkerd-identity")
        self._identities_end_in = preinstalled.trust_domain(identity, self.trust_domain)

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Restart the control plane for new anchors; for a new issuer annotate the pods of the identity service.

        The identity service reads the anchors when it starts, and new proxies get those of the injector. The kubelet
        updates the mounted Secret of an annotated pod at once.

        Raises:
            Inconclusive: The control plane does not come back, or still hands out other anchors.
        """
        if what.changes_roots:
            await restart(api, SYSTEM, COMPONENTS)
            await self.ready(api)
            return
        await touch(api, SYSTEM, f"{COMPONENT}=identity", what)

    def spelt(self, version: str) -> str:
        """The version as the charts spell it: 2026.8.3 for edge-26.8.3."""
        return chart_version(super().spelt(version))

    def _is_sidecar(self, container: Object) -> bool:
        return bool(
            container["name"] == SIDECAR and (not self.installed_by_run or has_anchors(container, self.authority.roots))
        )


def has_anchors(sidecar: Object, roots: Collection[x509.Certificate]) -> bool:
    """Whether a proxy starts with exactly these trust anchors, in whatever form another process has announced them."""
    anchors = [str(one.get("value", "")) for one in sidecar.get("env", []) if one["name"] == ANCHORS]
    return frozenset(roots) in map(certificates_in, anchors)


def chart_version(version: str) -> str:
    """The version of the charts for a release: 2026.8.3 for edge-26.8.3."""
    return re.sub(r"^edge-(\d\d)\.", r"20\1.", version)


def adapter(request: MeshRequest) -> LinkerdMesh:
    """Linkerd.

    Raises:
        MeshUnavailable: There are no charts of that version.
    """
    return LinkerdMesh(request)
