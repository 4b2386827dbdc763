"""Istio with sidecars, where retries and timeouts are spelled as HTTPRoute of the Gateway API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.istio import policies as istio
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCS, DOCUMENTED
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.kubernetes.http_routes import Parts, attempt_timeout, request_timeout, routes_of, rule_of
from pytest_meshcheck.meshes.registry import Order
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import Failure, Policy, RequestsPerConnection, Retry, Timeout, about_service
from pytest_meshcheck.platforms.base import Manifest, Platform
from pytest_meshcheck.platforms.helm.installation import OURS
from pytest_meshcheck.platforms.kubernetes.permissions import APPLIED, Permission

GATEWAY_API = "v1.5.1"
"""As Istio 1.30 is built with; older definitions of the experimental channel have ``retry`` as well, from v1.2 on."""

SOURCE = f"{DOCS}/tasks/traffic-management/ingress/gateway-api"
ALWAYS_RETRIED = frozenset({Failure.CONNECT, Failure.REFUSED_STREAM, Failure.GRPC_UNAVAILABLE, Failure.GRPC_CANCELLED})
"""What any ``retry`` covers besides its codes: pilot/pkg/config/kube/gateway/conversion.go."""

ROUTED: Documented = replace(
    DOCUMENTED,
    retry=replace(
        DOCUMENTED.retry,
        failures=ALWAYS_RETRIED,
        overdue_retried=False,
        sources={
            **DOCUMENTED.retry.sources,
            "failures": SOURCE,
            "statuses": SOURCE,
            "overdue_retried": "https://github.com/kubernetes-sigs/gateway-api/pull/4977",
        },
    ),
)


class HttpRouteMesh(IstioMesh):
    """The same mesh in another language."""

    name = "istio-httproute"
    documented: Documented = ROUTED
    resources: ClassVar[Sequence[Permission]] = (
        *IstioMesh.resources,
        Permission("gateway.networking.k8s.io", "httproutes", (*APPLIED, "delete")),
    )

    def __init__(self, order: Order, claims: Mapping[Capability, Claim] = CLAIMS) -> None:
        super().__init__(order, claims)
        self._given = order.charts

    async def install(self, platform: Platform) -> None:
        """The definitions of the Gateway API, unless there are some, and then Istio.

        Raises:
            MeshUnavailable: They cannot be had, or there is another Istio.
            Inconclusive: It does not become ready.
        """
        self.bind(platform)
        if self.ours:
            api = await self.platform.api()
            await gateway_api.ensure(api, GATEWAY_API, self._given, OURS, self.scale)
        await super().install(platform)

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """PeerAuthentications, DestinationRules, and for each service its HTTPRoutes.

        Raises:
            Unsupported: HTTPRoute has no field for it.
        """
        rendered = istio.access(policies)
        for about in about_service(policies).values():
            rendered += istio.destination_rules(about)
            rendered += routes_of(about[0].target, rule_of(about, PARTS, "Istio"))
        return rendered


def retry(policy: Retry) -> dict[str, Any]:
    """``attempts`` are retries on top of the first attempt, as ours are; 0 turns them off."""
    if foreign := policy.on - ALWAYS_RETRIED - {Failure.STATUS}:
        raise Unsupported(f"HTTPRoute retries by HTTP status, not on {min(foreign)} ({SOURCE})")
    codes = {"codes": sorted(policy.statuses)} if policy.statuses else {}
    return {"retry": {"attempts": policy.attempts} | codes} | attempt_timeout(policy)


PARTS: Parts = {
    Retry: retry,
    Timeout: request_timeout,
    RequestsPerConnection: istio.in_destination_rule,
}


def adapter(order: Order) -> HttpRouteMesh:
    """Istio in sidecar mode, told by HTTPRoutes."""
    return HttpRouteMesh(order)
