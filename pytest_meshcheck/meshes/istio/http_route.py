"""Istio with sidecars, with retries and timeouts written as HTTPRoute of the Gateway API."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pytest_meshcheck.meshes.documented import Documented
from pytest_meshcheck.meshes.istio import policies as istio
from pytest_meshcheck.meshes.istio.documented import CLAIMS, DOCS, DOCUMENTED
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.kubernetes.http_routes import Parts, request_timeout, retry_on_statuses, routes_of, rule_of
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.policy import (
    Failure,
    Policy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    RetryBudget,
    Timeout,
    about_service,
)
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.helm.installation import OURS
from pytest_meshcheck.platforms.kubernetes.access.permissions import APPLIED, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

GATEWAY_API = "v1.5.1"
"""The version that Istio 1.30 is built with; the experimental channel has ``retry`` from v1.2 on."""

SOURCE = f"{DOCS}/tasks/traffic-management/ingress/gateway-api"
ALWAYS_RETRIED = frozenset({Failure.CONNECT, Failure.REFUSED_STREAM, Failure.GRPC_UNAVAILABLE, Failure.GRPC_CANCELLED})
"""The failures that every ``retry`` covers in addition to its codes."""

ZERO_REFUSED = "retry.attempts: Invalid value: 0"
NO_ZERO = "from Gateway API v1.6 on, an HTTPRoute cannot turn retries off"
"""Its schema demands at least 1, and without ``retry`` the number is that of the implementation."""

CONVERSION = "https://github.com/istio/istio/blob/1.30.3/pilot/pkg/config/kube/gateway/conversion.go"

ROUTED: Documented = replace(
    DOCUMENTED,
    retry=replace(
        DOCUMENTED.retry,
        failures=ALWAYS_RETRIED,
        always_retried=ALWAYS_RETRIED,
        overdue_retried=False,
        sources={
            **DOCUMENTED.retry.sources,
            "failures": SOURCE,
            "always_retried": CONVERSION,
            "statuses": SOURCE,
            "overdue_retried": "https://github.com/kubernetes-sigs/gateway-api/pull/4977",
        },
    ),
)


class HttpRouteMesh(IstioMesh):
    """Istio's sidecar mode; retries and timeouts are written as HTTPRoute."""

    name = "istio-httproute"
    documented: Documented = ROUTED
    resources: ClassVar[Sequence[Permission]] = (
        *IstioMesh.resources,
        Permission("gateway.networking.k8s.io", "httproutes", (*APPLIED, "delete")),
    )

    def __init__(self, request: MeshRequest, claims: Mapping[Capability, Claim] = CLAIMS) -> None:
        super().__init__(request, claims)
        self._given = request.charts

    async def define(self, api: Api) -> None:
        """Install the Gateway API definitions, unless the cluster has them; raises what ``ensure`` raises."""
        await gateway_api.ensure(api, GATEWAY_API, self._given, OURS, self.scale)

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """The policies as PeerAuthentications, DestinationRules and HTTPRoutes.

        Raises:
            Unsupported: HTTPRoute has no field for a policy.
        """
        rendered = istio.access(policies)
        for about in about_service(policies).values():
            rendered += istio.destination_rules(about)
            rendered += routes_of(about[0].target, rule_of(about, PARTS, "Istio"))
        return rendered

    def on_rejection(self, error: Inconclusive) -> Inconclusive | Unsupported:
        """Unsupported if the Gateway API in the cluster has no way to write 0 retries."""
        return Unsupported(f"{NO_ZERO}: {error}") if ZERO_REFUSED in str(error) else error


def retry(policy: Retry) -> dict[str, Any]:
    """``attempts`` are retries on top of the first attempt, as ours are; 0 turns them off."""
    return retry_on_statuses(policy, ALWAYS_RETRIED, SOURCE)


PARTS: Parts = {
    Retry: retry,
    Timeout: request_timeout,
    RequestsPerConnection: istio.in_destination_rule,
    RequireMutualTls: istio.in_destination_rule,
    RetryBudget: istio.in_destination_rule,
}


def adapter(request: MeshRequest) -> HttpRouteMesh:
    """Istio in sidecar mode, configured by HTTPRoutes."""
    return HttpRouteMesh(request)
