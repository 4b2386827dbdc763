"""Rules that lead to services which do not exist."""

import pytest

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.conditions import conditioned
from pytest_meshcheck.manifests.settings import dead_ends
from tests.unit.test_manifests.configured import configured, resource

RULES = "{parentRefs: [{kind: Service, group: '', name: orders}], rules: [%s, {backendRefs: [{name: orders}]}]}"
OF_A = "{matches: [{path: {type: Exact, value: /a}}], backendRefs: [%s]}"
HOSTS = "{hosts: [orders], http: [{match: [{uri: {exact: /a}}], route: [%s]}]}"

BACKENDS = {
    # case: the kind of route, the backends of its first rule, whether they are no services
    "nobody": ("HTTPRoute", "{name: order}", "order"),
    "somebody": ("HTTPRoute", "{name: stock}", ""),
    "one-of-two": ("HTTPRoute", "{name: order}, {name: stock}", ""),
    "without-weight": ("HTTPRoute", "{name: order}, {name: stock, weight: 0}", "order"),
    "another-namespace": ("HTTPRoute", "{name: order, namespace: bank}", ""),
    "host": ("VirtualService", "{destination: {host: order}}", "order"),
    "host-in-full": (
        "VirtualService",
        "{destination: {host: order.shop.svc.cluster.local}}",
        "order.shop.svc.cluster.local",
    ),
    "known-host": ("VirtualService", "{destination: {host: stock.shop}}", ""),
    "outside": ("VirtualService", "{destination: {host: api.example.com}}", ""),
}


@pytest.mark.parametrize("case", BACKENDS)
def test_a_rule_that_leads_to_no_service_is_named_and_met(case: str) -> None:
    kind, backends, named = BACKENDS[case]
    spec = HOSTS % backends if kind == "VirtualService" else RULES % (OF_A % backends)
    around, _ = configured(resource(kind, "a", spec))
    orders = next(one for one in around.plan.destinations if one.service == "orders")
    part = "http" if kind == "VirtualService" else "rules"
    said = f"{kind} shop/a (mesh.yaml:2): spec.{part}[0] leads to {named}, and there is no such service"
    assert dead_ends(around.plan, orders) == ((said,) if named else ())
    assert conditioned(around.plan, orders) == ((Shape(path="/a"),) if named else ())
