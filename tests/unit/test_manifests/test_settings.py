"""Where manifests configure something about a port."""

import pytest

from pytest_meshcheck.checks.own.limit_hazards import Retried
from pytest_meshcheck.manifests.durations import seconds
from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.manifests.settings import Setting, limit_of_one_attempt, settings, written_retries

SHOP = """apiVersion: v1
kind: Pod
metadata: {name: orders, namespace: shop, labels: {app: orders}}
spec: {}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop, annotations: {timeout.linkerd.io/request: 3s}}
spec: {selector: {app: orders}, ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders]
  http:
  - match: [{uri: {prefix: /a}}]
    retries: {attempts: 3, retryOn: 5xx}
  - fault: {abort: {httpStatus: 500}}
    mirror: {host: audit}
    timeout: 4s
    retries: {attempts: 3, perTryTimeout: 1500ms, retryOn: "gateway-error,reset"}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: others, namespace: shop}
spec:
  hosts: [cart]
  http: [{timeout: 4s}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: ops}
spec:
  parentRefs: [{group: "", kind: Service, name: orders, namespace: shop}]
  rules: [{timeouts: {request: 2s, backendRequest: 1s}, backendRefs: [{name: orders.shop}], retry: {codes: [503]}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: cart, namespace: shop}
spec: {selector: {matchLabels: {app: cart}}, mtls: {mode: PERMISSIVE}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: PERMISSIVE}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec: {selector: {matchLabels: {app: orders}}, rules: [{to: [{operation: {hosts: [orders]}}]}]}
"""
ISTIO = Configured("istio", ("networking.istio.io", "security.istio.io"), "istio-system")


def shop() -> tuple[Plan, Destination]:
    made = plan(objects_in([Text("k8s.yaml", SHOP)]), ISTIO)
    return made, made.destinations[0]


SAID = {
    Setting.LIMIT: (
        "VirtualService shop/orders (k8s.yaml:11): spec.http[1].timeout",
        "VirtualService shop/orders (k8s.yaml:11): spec.http[1].retries.perTryTimeout",
        "HTTPRoute ops/orders (k8s.yaml:31): spec.rules[0].timeouts",
        "Service shop/orders (k8s.yaml:6): metadata.annotations.timeout.linkerd.io/request",
    ),
    Setting.RETRY: (
        "VirtualService shop/orders (k8s.yaml:11): spec.http[0].retries",
        "VirtualService shop/orders (k8s.yaml:11): spec.http[1].retries",
        "HTTPRoute ops/orders (k8s.yaml:31): spec.rules[0].retry",
    ),
    Setting.FAULT: ("VirtualService shop/orders (k8s.yaml:11): spec.http[1].fault",),
    Setting.MIRROR: ("VirtualService shop/orders (k8s.yaml:11): spec.http[1].mirror",),
    Setting.HOST: (
        "VirtualService shop/orders (k8s.yaml:11): spec.http[1].fault",
        "AuthorizationPolicy shop/orders (k8s.yaml:53): spec.rules[0].to[0].operation.hosts",
    ),
    Setting.TLS: (
        "PeerAuthentication shop/default (k8s.yaml:38): spec.mtls",
        "PeerAuthentication istio-system/default (k8s.yaml:48): spec.mtls",
    ),
}


@pytest.mark.parametrize("what", Setting)
def test_a_setting_is_named_with_its_object_and_its_path(what: Setting) -> None:
    assert settings(*shop(), what, "istio-system") == SAID[what]


def test_a_setting_of_the_control_plane_is_about_its_own_namespace_where_it_is_not_known() -> None:
    assert SAID[Setting.TLS][1] not in settings(*shop(), Setting.TLS)


def test_retries_of_rules_for_every_request_are_read_with_the_failures_that_they_name() -> None:
    istio = "VirtualService shop/orders (k8s.yaml:11): spec.http[1].retries"
    gateway_api = "HTTPRoute ops/orders (k8s.yaml:31): spec.rules[0].retry"
    assert written_retries(*shop()) == (
        Retried(istio, frozenset({"503"}), beside_fault=True),
        Retried(gateway_api, frozenset({"503"})),
    )


def test_a_reset_is_an_error_of_a_service_like_others() -> None:
    made = plan(objects_in([Text("k8s.yaml", SHOP.replace("gateway-error,reset", "5xx"))]), ISTIO)
    assert written_retries(made, made.destinations[0])[0].failures == {"503", "reset"}


LEFT_OUT = {
    # case: what is written, what is written instead
    "never": ('attempts: 3, perTryTimeout: 1500ms, retryOn: "gateway-error,reset"', "attempts: 0, retryOn: 5xx"),
    "other-failures": ("gateway-error,reset", "connect-failure,reset,retriable-4xx"),
    "through-a-gateway": ("hosts: [orders]\n  http", "hosts: [orders]\n  gateways: [edge]\n  http"),
    "of-another-host": ("hosts: [orders]\n  http", "hosts: [cart]\n  http"),
    "none": ('    retries: {attempts: 3, perTryTimeout: 1500ms, retryOn: "gateway-error,reset"}\n', ""),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_retries_that_are_not_about_callers_or_failures_are_left_out(case: str) -> None:
    before, after = LEFT_OUT[case]
    assert before in SHOP
    made = plan(objects_in([Text("k8s.yaml", SHOP.replace(before, after))]), ISTIO)
    assert ["HTTPRoute" in one.where for one in written_retries(made, made.destinations[0])] == [True]


@pytest.mark.parametrize(
    ("kind", "written", "failures"), [("http", "5xx", {"503", "reset"}), ("grpc", "unavailable", {"unavailable"})]
)
def test_a_service_may_have_its_retries_in_an_annotation(kind: str, written: str, failures: set[str]) -> None:
    annotated = SHOP.replace("timeout.linkerd.io/request: 3s", f"retry.linkerd.io/{kind}: {written}")
    made = plan(objects_in([Text("k8s.yaml", annotated)]), ISTIO)
    where = f"Service shop/orders (k8s.yaml:6): metadata.annotations.retry.linkerd.io/{kind}"
    assert written_retries(made, made.destinations[0])[-1] == Retried(where, frozenset(failures))


def test_workloads_may_have_their_policy_in_an_annotation() -> None:
    labels = "labels: {app: orders}}\nspec"
    annotation = "annotations: {config.linkerd.io/default-inbound-policy: deny}, "
    made = plan(objects_in([Text("k8s.yaml", SHOP.replace(labels, annotation + labels))]), ISTIO)
    said = "Pod shop/orders (k8s.yaml:1): annotation config.linkerd.io/default-inbound-policy"
    assert settings(made, made.destinations[0], Setting.TLS)[-1] == said
    assert said not in settings(made, made.destinations[0], Setting.RETRY)


def test_the_shortest_limit_of_an_attempt_counts() -> None:
    assert limit_of_one_attempt(*shop()) == 1.0


@pytest.mark.parametrize(("written", "expected"), [("1.5s", 1.5), ("250ms", 0.25), ("1m30s", 90.0), (3, 0.0)])
def test_durations_are_read(written: object, expected: float) -> None:
    assert seconds(written) == expected
