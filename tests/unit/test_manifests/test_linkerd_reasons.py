"""Why resources of Linkerd's do nothing: each reason found where it applies, and not where it does not."""

import pytest

from pytest_meshcheck.manifests.mutation.parts import parts
from pytest_meshcheck.manifests.mutation.targets import Configuration
from pytest_meshcheck.manifests.mutation.without_effect import reason
from pytest_meshcheck.manifests.plan import plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from tests.unit.test_manifests.configured import LINKERD, SHOP, resource

ABOUT = "{podSelector: {matchLabels: {app: %s}}, port: %s}"
SERVER = resource("Server", "orders", ABOUT % ("orders", 8080))
REQUIRED = "requiredAuthenticationRefs: [{kind: MeshTLSAuthentication, name: web}]"
POLICY = "{targetRef: {group: policy.linkerd.io, kind: %s, name: %s}, " + REQUIRED + "}"
WEB = resource("MeshTLSAuthentication", "web", "{identities: ['*']}")


def authorization(kind: str, name: str) -> str:
    written = resource("AuthorizationPolicy", "a", POLICY % (kind, name))
    return written.replace("security.istio.io/v1", "policy.linkerd.io/v1alpha1")


CASES = {
    # case: resources, of which the last one is looked at; what the reason says, empty for none
    "server": ([SERVER], ""),
    "all-pods": ([resource("Server", "a", "{podSelector: {}, port: 8080}")], ""),
    "labels": (
        [resource("Server", "a", ABOUT % ("order", 8080))],
        "no workload of these manifests in shop has the labels app: order",
    ),
    "port": ([resource("Server", "a", ABOUT % ("orders", 80))], "no workload that it selects has the port 80"),
    "port-name": ([resource("Server", "a", ABOUT % ("orders", "web"))], "no workload that it selects has the port web"),
    "expressions": ([resource("Server", "a", "{podSelector: {matchExpressions: [{key: a}]}, port: 1}")], ""),
    "target": ([SERVER, authorization("Server", "orders")], ""),
    "no-target": (
        [SERVER, authorization("Server", "order")],
        "there is no Server order among these manifests in its namespace",
    ),
    "namespace": ([authorization("Namespace", "shop")], ""),
    "required": ([authorization("Server", "orders"), WEB], ""),
    "not-required": ([SERVER, WEB], "no AuthorizationPolicy of these manifests requires it"),
    "profile": ([resource("ServiceProfile", "orders.shop.svc.cluster.local", "{routes: []}")], ""),
    "no-profile": (
        [resource("ServiceProfile", "orders.shop", "{routes: []}")],
        "no service of these manifests has the host orders.shop",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_found(case: str) -> None:
    written, expected = CASES[case]
    made = plan(objects_in([Text("shop.yaml", SHOP), Text("mesh.yaml", "".join(written))]), LINKERD)
    found = reason(parts(made.resources)[-1], Configuration(made, LINKERD.home))
    assert (found.words if found else "") == expected
    assert found is None or found.is_enough
