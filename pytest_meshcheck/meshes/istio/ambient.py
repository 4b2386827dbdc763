"""Istio's ambient mode as far as layer 4 goes: a ztunnel on each node, and no waypoint."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_meshcheck.meshes.base import Documented, TlsEndpoint
from pytest_meshcheck.meshes.helm_mesh import INSTALLED_WITHIN
from pytest_meshcheck.meshes.istio import policies as istio
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCS, DOCUMENTED, VIRTUAL_SERVICE
from pytest_meshcheck.meshes.istio.mesh import CONTROL_PLANE, SYSTEM, IstioMesh
from pytest_meshcheck.meshes.readiness import every_node, rolled_out
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.api import Api
from pytest_meshcheck.platforms.kubernetes.helm import Release
from pytest_meshcheck.stage.capability import Capability, Claim
from pytest_meshcheck.stage.faults import Unsupported
from pytest_meshcheck.stage.observation import Attempt, Ending
from pytest_meshcheck.stage.policy import MutualTls, Policy
from pytest_meshcheck.stage.workload import Enrolment, Via, Workload, WorkloadSpec

AMBIENT = f"{DOCS}/ambient"
ARCHITECTURE = f"{AMBIENT}/architecture/data-plane"
UPGRADE = f"{AMBIENT}/upgrade/helm/"
WAYPOINT = f"{AMBIENT}/usage/waypoint"
HBONE = f"{AMBIENT}/architecture/hbone"
ZTUNNEL = "https://github.com/istio/ztunnel/blob/master/src/config.rs"

HBONE_PORT = 15008
LEAF_LIFETIME = 240.0
"""Seconds. ztunnel renews at half of a validity that begins two minutes in the past: here each minute."""

MODE = "istio.io/dataplane-mode"
NO_IMPOSTOR = "the stage has no peer of its own that speaks HBONE"

UNSUPPORTED: Mapping[Capability, tuple[str, str]] = {
    Capability.SERVER_IDENTITY: (HBONE, NO_IMPOSTOR),
    Capability.CUSTOM_AUTHORITY: (HBONE, NO_IMPOSTOR),
    Capability.ROOT_ROTATION: (HBONE, NO_IMPOSTOR),
    Capability.PEER_IDENTITY: (ARCHITECTURE, "at layer 4 nobody tells the application who calls"),
    Capability.RETRY: (WAYPOINT, "requests are retried by waypoints only"),
    Capability.RETRY_GRPC: (WAYPOINT, "calls are retried by waypoints only"),
    Capability.PER_TRY_TIMEOUT: (WAYPOINT, "requests are cut by waypoints only"),
    Capability.TIMEOUT: (WAYPOINT, "requests are cut by waypoints only"),
    Capability.TIMEOUT_GRPC: (WAYPOINT, "calls are cut by waypoints only"),
    Capability.CONNECTION_REUSE: (HBONE, "connections between ztunnels are pooled without a limit of requests"),
    Capability.UPGRADE: (UPGRADE, "a ztunnel is upgraded in place at the cost of a short downtime of its node"),
    Capability.PROXY_RESTART: (ARCHITECTURE, "a ztunnel belongs to a node, not to a workload"),
}

AMBIENT_CLAIMS: Mapping[Capability, Claim] = {
    **CLAIMS,
    **{capability: Claim(False, source, note) for capability, (source, note) in UNSUPPORTED.items()},
    Capability.PERMISSIVE_SERVER_FIRST: Claim(True, ARCHITECTURE),
    Capability.LEAF_ROTATION: Claim(True, ZTUNNEL),
}

AMBIENT_DOCUMENTED = replace(
    DOCUMENTED,
    silent_refused_as=frozenset({Ending.RESET, Ending.CLOSED}),
    identity_headers=(),
    leaf_lifetime=LEAF_LIFETIME,
    leaf_renewed_within=75.0,
    issuer_acts_within=90.0,
    sources={**DOCUMENTED.sources, "leaf_lifetime": ZTUNNEL, "leaf_renewed_within": ZTUNNEL},
)

PROFILE = {"profile": "ambient"}


class AmbientMesh(IstioMesh):
    """Mutual TLS between ztunnels."""

    name = "istio-ambient"
    kind_config = "istio-ambient.yaml"
    documented: Documented = AMBIENT_DOCUMENTED

    def __init__(self, order: Order) -> None:
        super().__init__(order, AMBIENT_CLAIMS)

    def releases(self) -> Sequence[Release]:
        """Definitions, istiod, what leads pods' traffic to ztunnel, and ztunnel itself."""
        return (
            Release("istio-base", "base", SYSTEM),
            Release("istiod", "istiod", SYSTEM, {**CONTROL_PLANE, **PROFILE}),
            Release("istio-cni", "cni", SYSTEM, PROFILE),
            Release("ztunnel", "ztunnel", SYSTEM, {**PROFILE, "env": {"SECRET_TTL": f"{LEAF_LIFETIME:.0f}s"}}),
        )

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """A label pod by pod; the lifetime of certificates is ztunnel's."""
        return Metadata({MODE: "ambient" if workload.enrolment is Enrolment.ENROLLED else "none"})

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """PeerAuthentications.

        Raises:
            Unsupported: For anything else a waypoint is needed.
        """
        for policy in policies:
            if not isinstance(policy, MutualTls):
                raise Unsupported(f"{type(policy).__name__} needs a waypoint ({WAYPOINT}, {VIRTUAL_SERVICE})")
        return istio.mutual_tls(policies)

    def peer_identity(self, attempt: Attempt) -> str | None:
        """Nobody tells the application."""
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """Where ztunnel takes tunnels for the workload, whatever the port."""
        address, _ = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint((address, HBONE_PORT), None, ("h2",))

    async def ready(self, api: Api) -> None:
        """Wait until istiod serves, and every node has its ztunnel."""
        within = INSTALLED_WITHIN * self.scale
        await rolled_out(api, SYSTEM, ("istiod",), within)
        await every_node(api, SYSTEM, ("istio-cni-node", "ztunnel"), within)


def ambient(order: Order) -> AmbientMesh:
    """Istio in ambient mode."""
    return AmbientMesh(order)
