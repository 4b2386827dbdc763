"""The requests that meet the conditions of rules with faults and mirrors."""

import pytest

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.conditions import MOST, conditioned
from pytest_meshcheck.manifests.plan import Configured, plan
from pytest_meshcheck.manifests.reading import Text, objects_in

WORKLOAD = """apiVersion: v1
kind: Pod
metadata: {name: orders, namespace: shop, labels: {app: orders}}
spec: {}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{port: 80}]}
---
"""
ISTIO = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: shop}
spec: {hosts: [orders], http: [RULE]}
"""
GATEWAY_API = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec: {parentRefs: [{kind: Service, group: "", name: orders}], rules: [RULE]}
"""
FAULT = "fault: {abort: {httpStatus: 500}}"
MIRROR = "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: audit}}}]"
RULES = {
    # case: the route, its rule, the requests
    "header": (
        ISTIO,
        f"{{match: [{{headers: {{end-user: {{exact: jason}}}}}}], {FAULT}}}",
        "GET / with end-user: jason",
    ),
    "path": (
        ISTIO,
        f"{{match: [{{uri: {{prefix: /a}}}}, {{uri: {{exact: /b}}}}], {FAULT}}}",
        "GET /a/meshcheck, GET /b",
    ),
    "method": (ISTIO, f"{{match: [{{method: {{exact: POST}}}}], {FAULT}}}", "POST /"),
    "present": (ISTIO, f"{{match: [{{headers: {{x-debug: {{}}}}}}], {FAULT}}}", "GET / with x-debug: x"),
    "expression": (ISTIO, f"{{match: [{{uri: {{regex: '/a.*'}}}}], {FAULT}}}", ""),
    "no-condition": (ISTIO, f"{{{FAULT}}}", ""),
    "condition-of-callers": (ISTIO, f"{{match: [{{sourceLabels: {{app: web}}}}], {FAULT}}}", ""),
    "sound-rule": (ISTIO, "{match: [{uri: {prefix: /a}}], timeout: 2s}", ""),
    "gateway-api": (
        GATEWAY_API,
        "{matches: [{path: {type: PathPrefix, value: /a}, method: PUT, headers: [{name: x, value: y}]}], "
        f"{MIRROR}}}",
        "PUT /a/meshcheck with x: y",
    ),
    "expression-of-the-gateway-api": (
        GATEWAY_API,
        f"{{matches: [{{path: {{type: RegularExpression, value: '/a.*'}}}}], {MIRROR}}}",
        "",
    ),
}


def conditions(route: str, rule: str) -> tuple[Shape, ...]:
    istio = Configured("istio", ("networking.istio.io",))
    made = plan(objects_in([Text("k8s.yaml", WORKLOAD + route.replace("RULE", rule))]), istio)
    return conditioned(made, made.destinations[0])


@pytest.mark.parametrize("case", RULES)
def test_a_rule_is_met_by_what_it_matches(case: str) -> None:
    route, rule, said = RULES[case]
    assert ", ".join(map(str, conditions(route, rule))) == said


def test_requests_are_bounded() -> None:
    paths = ", ".join(f"{{uri: {{exact: /{number}}}}}" for number in range(MOST + 1))
    assert len(conditions(ISTIO, f"{{match: [{paths}], {FAULT}}}")) == MOST
