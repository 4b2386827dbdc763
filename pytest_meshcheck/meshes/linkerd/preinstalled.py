"""Detection of a pre-installed Linkerd."""

from collections.abc import Mapping
from dataclasses import replace

from pytest_meshcheck.meshes.kubernetes.helm_mesh import LIFETIME_IS_GIVEN
from pytest_meshcheck.meshes.linkerd.sources import INSTALL, ISSUED, OPAQUE
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object

GATEWAY_API = "gateway.networking.k8s.io/v1"
ROUTES = ("HTTPRoute", "GRPCRoute")
ROUTED = (
    Capability.RETRY,
    Capability.RETRY_GRPC,
    Capability.PER_TRY_TIMEOUT,
    Capability.TIMEOUT,
    Capability.TIMEOUT_GRPC,
)
"""The capabilities whose policies are annotations of routes."""

TRUST_DOMAIN = "-identity-trust-domain="

GIVEN: Mapping[Capability, Claim] = {
    Capability.LEAF_ROTATION: Claim(False, ISSUED, LIFETIME_IS_GIVEN),
    Capability.PERMISSIVE_SERVER_FIRST: Claim(
        False, OPAQUE, "the mesh was already installed: installation sets the opaque ports for all workloads"
    ),
}
"""The claims that hold only if the suite installs Linkerd."""


async def routed(api: Api, claims: Mapping[Capability, Claim]) -> Mapping[Capability, Claim]:
    """The claims, without those that need routes if the cluster lacks their definitions."""
    missing = [kind for kind in ROUTES if not await api.knows(GATEWAY_API, kind)]
    if not missing:
        return claims
    note = f"the cluster has no {' and no '.join(missing)}: install the Gateway API, and restart linkerd-destination"
    without = {one: replace(claims[one], supported=False, source=INSTALL, note=note) for one in ROUTED}
    return {**claims, **without}


def trust_domain(identity: Object | None, otherwise: str) -> str:
    """The trust domain in the deployment of the identity service."""
    containers = identity["spec"]["template"]["spec"]["containers"] if identity else []
    arguments = [
        argument for one in containers for argument in one.get("args", []) if argument.startswith(TRUST_DOMAIN)
    ]
    return str(arguments[0]).removeprefix(TRUST_DOMAIN) if arguments else otherwise
