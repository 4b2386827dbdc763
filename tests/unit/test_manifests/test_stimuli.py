"""The requests that rules are met with, and what of rules can be seen at all."""

import pytest

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.durations import seconds
from pytest_meshcheck.manifests.mutation.rule_match import meets
from pytest_meshcheck.manifests.mutation.stimuli import Stimuli, path_in, stimuli
from pytest_meshcheck.manifests.mutation.visibility import FIELDS, not_taken_out, unseen

from .configured import WORKLOAD, configured, resource

VIRTUAL_SERVICE = """{hosts: [orders], http: [
  {match: [{uri: {prefix: /pay}, method: {exact: PUT}, headers: {end-user: {exact: jason}, x: {}}}], timeout: 1.5s},
  {match: [{queryParams: {a: {exact: b}}}], retries: {attempts: 4, perTryTimeout: 500ms, retryOn: '5xx,418'}},
  {fault: {delay: {fixedDelay: 2s, percentage: {value: 50}}}, timeout: 1h}]}"""
POLICY = "{rules: [{to: [{operation: {methods: [GET, POST], paths: [/a*, '/b/{**}']}}]}]}"
HTTP_ROUTE = """{parentRefs: [{kind: Service, group: '', name: orders}], rules: [
  {matches: [{path: {value: /a}, method: PUT, headers: [{name: x, value: y}], queryParams: [{name: q, value: r}]}],
   timeouts: {request: 1m30s, backendRequest: 3s},
   backendRefs: [{name: orders, weight: 1}, {name: web, weight: 9}]}]}"""
GET = Shape()

STIMULI = {
    # case: resource, what is sent
    "virtual-service": (
        ("VirtualService", VIRTUAL_SERVICE),
        Stimuli(
            shapes=(
                GET,
                Shape("PUT", "/pay/meshcheck", (("end-user", "jason"), ("x", "x"))),
                Shape("GET", "/?a=b"),
                Shape("GET", "/meshcheck"),
                Shape("POST"),
            ),
            failures=("503", "500", "reset", "418"),
            limits=(1.5, 2.5),
            delays=(2.0,),
            by_chance=True,
        ),
    ),
    "authorization-policy": (
        ("AuthorizationPolicy", POLICY),
        Stimuli(
            shapes=(
                GET,
                *(Shape(method, path) for method in ("GET", "POST") for path in ("/ameshcheck", "/b/meshcheck")),
                Shape("GET", "/meshcheck"),
                Shape("PUT"),
            ),
            failures=("503",),
            limits=(),
            delays=(),
            by_chance=False,
        ),
    ),
    "http-route": (
        ("HTTPRoute", HTTP_ROUTE),
        Stimuli(
            shapes=(GET, Shape("PUT", "/a?q=r", (("x", "y"),)), Shape("GET", "/meshcheck"), Shape("POST")),
            failures=("503",),
            limits=(3.0,),
            delays=(),
            by_chance=True,
        ),
    ),
    "nothing": (
        ("VirtualService", "{hosts: [orders], http: [{route: [{destination: {host: web}}]}]}"),
        Stimuli(shapes=(GET,), failures=("503",), limits=(), delays=(), by_chance=False),
    ),
}


@pytest.mark.parametrize("case", STIMULI)
def test_each_rule_is_met_by_a_request(case: str) -> None:
    (kind, spec), expected = STIMULI[case]
    around, _ = configured(resource(kind, "a", spec))
    assert stimuli(around.plan.resources) == expected


@pytest.mark.parametrize(
    ("written", "expected"), [("1.5s", 1.5), ("1m30s", 90), ("250ms", 0.25), ("0s", 0), ("", 0), ("soon", 0)]
)
def test_durations(written: str, expected: float) -> None:
    assert seconds(written) == expected


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/a", "/a"), ("/a/*", "/a/meshcheck"), ("*/a", "/meshcheck/a"), ("*", "/meshcheck"), ("/{*}/a", "/meshcheck/a")],
)
def test_a_path_is_one_that_a_pattern_matches(pattern: str, path: str) -> None:
    assert path_in(pattern) == path


def route(rule: str) -> tuple[str, str]:
    return "VirtualService", f"{{hosts: [orders], http: [{rule}]}}"


def rules(rule: str) -> tuple[str, str]:
    return "AuthorizationPolicy", f"{{rules: [{rule}]}}"


def of_http(rule: str) -> tuple[str, str]:
    return "HTTPRoute", f"{{parentRefs: [{{kind: Service, group: '', name: orders}}], rules: [{rule}]}}"


UNCALLED = WORKLOAD.format(name="batch-v1", app="batch", version="v1").replace("8080", "9090") + WORKLOAD.format(
    name="cron", app="cron", version="v1"
).replace(", ports: [{containerPort: 8080}]", "")


def two(first: str, second: str) -> tuple[str, str]:
    return "VirtualService", f"{{hosts: [orders], http: [{first}, {second}]}}"


MET = {
    # case: two rules; whether some request is certain to meet the first, and the second
    "exact-then-all": (two("{match: [{uri: {exact: /}}]}", "{timeout: 1s}"), (True, True)),
    "prefix-then-all": (two("{match: [{uri: {prefix: /pay}}]}", "{timeout: 1s}"), (True, True)),
    "method-then-all": (two("{match: [{method: {exact: GET}}]}", "{timeout: 1s}"), (True, True)),
    "header-then-all": (two("{match: [{name: a, headers: {x: {exact: y}}}]}", "{timeout: 1s}"), (True, True)),
    "any-header-then-all": (two("{match: [{headers: {x: {}}}]}", "{timeout: 1s}"), (True, True)),
    "query-then-all": (two("{match: [{queryParams: {a: {exact: b}}}]}", "{timeout: 1s}"), (True, True)),
    "prefix-then-longer": (two("{match: [{uri: {prefix: /a}}]}", "{match: [{uri: {prefix: /ab}}]}"), (True, False)),
    "longer-then-prefix": (two("{match: [{uri: {prefix: /ab}}]}", "{match: [{uri: {prefix: /a}}]}"), (True, True)),
    "caller-then-all": (two("{match: [{sourceLabels: {app: web}}]}", "{timeout: 1s}"), (True, False)),
    "regex-then-all": (two("{match: [{uri: {regex: '/.*'}}]}", "{timeout: 1s}"), (False, False)),
    "header-by-regex-then-all": (two("{match: [{headers: {x: {regex: a}}}]}", "{timeout: 1s}"), (False, True)),
    "routes-side-by-side": (
        of_http("{matches: [{path: {value: /a}}]}, {matches: [{path: {value: /b}, headers: [{name: x, value: y}]}]}"),
        (True, True),
    ),
    "routes-of-one-path": (of_http("{}, {matches: [{path: {type: PathPrefix, value: /a}}]}"), (True, False)),
}


@pytest.mark.parametrize("case", MET)
def test_a_rule_is_met_where_no_other_one_may_take_the_request(case: str) -> None:
    (kind, spec), met = MET[case]
    around, found = configured(resource(kind, "a", spec))
    shapes = stimuli(around.plan.resources).shapes
    rules = [found[f"{kind} shop/a rule {number}"] for number in (1, 2)]
    assert tuple(any(meets(shape, rule) for shape in shapes) for rule in rules) == met


UNSEEN = {
    # case: resource, what cannot be seen of it; empty where all can
    "route": (route("{route: [{destination: {host: orders, subset: v1}}], timeout: 3s}"), ""),
    "match": (route("{match: [{uri: {exact: /a}, headers: {x: {prefix: y}}, sourceLabels: {app: web}}]}"), ""),
    "retries": (route("{retries: {attempts: 2, retryOn: '5xx,reset,503'}}"), ""),
    "retries-of-connections": (
        route("{retries: {retryOn: '5xx,connect-failure'}}"),
        "http.retries.retryOn: 5xx,connect-f",
    ),
    "regex": (route("{match: [{uri: {regex: '/.*'}}]}"), "http.match.uri.regex is not measured"),
    "no-such-caller": (route("{match: [{sourceLabels: {app: gateway}}]}"), "http.match.sourceLabels.app: gateway"),
    "shares": (
        route("{route: [{destination: {host: orders}, weight: 90}, {destination: {host: web}, weight: 10}]}"),
        "weight: 90",
    ),
    "all": (route("{route: [{destination: {host: orders}, weight: 100}]}"), ""),
    "long": (route("{timeout: 60s}"), "http.timeout: 60s is not measured"),
    "rare-fault": (route("{fault: {abort: {httpStatus: 500, percentage: {value: 1}}}}"), "percentage.value: 1 is"),
    "fault": (route("{fault: {abort: {httpStatus: 500, percentage: {value: 50}}}}"), ""),
    "short-delay": (route("{fault: {delay: {fixedDelay: 100ms, percentage: {value: 100}}}}"), "fixedDelay: 100ms"),
    "headers": (route("{headers: {request: {set: {a: b}}}}"), "http.headers.request.set.a is not measured"),
    "cors": (route("{corsPolicy: {allowMethods: [GET]}}"), "http.corsPolicy.allowMethods is not measured"),
    "pool": (
        ("DestinationRule", "{host: orders, trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}}"),
        "maxConnections",
    ),
    "subsets": (("DestinationRule", "{host: orders, subsets: [{name: v1, labels: {a.b/version: v1}}]}"), ""),
    "host-outside": (("VirtualService", "{hosts: [api.example.com]}"), "api.example.com, which is not among these"),
    "host-of-others": (("VirtualService", "{hosts: [a.b.svc.cluster.local]}"), "a.b.svc.cluster.local, which is not"),
    "grpc": (("VirtualService", "{hosts: [stock], http: [{timeout: 1s}]}"), "calls of gRPC to shop/stock:8080"),
    "principal": (rules("{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}"), ""),
    "other-principal": (rules("{from: [{source: {principals: [cluster.local/ns/shop/sa/batch]}}]}"), "sa/batch is not"),
    "namespace": (rules("{from: [{source: {notNamespaces: [shop]}}]}"), ""),
    "other-namespace": (rules("{from: [{source: {namespaces: [ingress]}}]}"), "namespaces: ingress is not measured"),
    "account": (rules("{from: [{source: {serviceAccounts: [shop/web]}}]}"), ""),
    "token": (rules("{from: [{source: {requestPrincipals: ['*']}}]}"), "requestPrincipals is not measured"),
    "condition": (rules("{when: [{key: 'request.headers[a]', values: [b]}]}"), "rules.when.key is not measured"),
    "port": (rules("{to: [{operation: {ports: ['8080'], methods: [GET]}}]}"), ""),
    "other-port": (rules("{to: [{operation: {ports: ['9']}}]}"), "ports: 9 is not measured"),
    "audit": (("AuthorizationPolicy", "{action: AUDIT, rules: [{}]}"), "action: AUDIT"),
    "uncalled-port": (
        ("PeerAuthentication", "{selector: {matchLabels: {app: batch}}, mtls: {mode: STRICT}}"),
        "no service leads to shop/batch-v1 port 9090",
    ),
    "uncalled": (("PeerAuthentication", "{selector: {matchLabels: {app: cron}}}"), "no service leads to shop/cron, so"),
    "strict": (("PeerAuthentication", "{mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}"), ""),
    "many": (
        rules("{to: [{operation: {methods: [GET, PUT, POST], paths: [/a, /b, /c, /d, /e, /f]}}]}"),
        "more than 16 kinds of requests",
    ),
    "network-policy": (("NetworkPolicy", "{podSelector: {}}"), "depends on the cluster"),
    "path": (
        of_http("{matches: [{path: {type: PathPrefix, value: /a}}], backendRefs: [{name: orders, port: 8080}]}"),
        "",
    ),
    "path-by-regex": (of_http("{matches: [{path: {type: RegularExpression, value: /a}}]}"), "path.type: RegularExpr"),
    "header-filter": (of_http("{filters: [{type: RequestHeaderModifier}]}"), "filters.type: RequestHeaderModifier"),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_what_is_not_measured_is_named(case: str) -> None:
    (kind, spec), words = UNSEEN[case]
    around, found = configured(resource(kind, "a", spec), UNCALLED if "uncalled" in case else "")
    said = "; ".join(unseen(found[f"{kind} shop/a"], around))
    assert words in said if words else not said, said


def test_of_a_rule_only_its_own_fields_count() -> None:
    spec = "{hosts: [orders], http: [{match: [{uri: {exact: /a}}], headers: {request: {remove: [a]}}}, {timeout: 1s}]}"
    around, found = configured(resource("VirtualService", "a", spec))
    assert not list(unseen(found["VirtualService shop/a rule 2"], around))
    assert list(unseen(found["VirtualService shop/a rule 1"], around))
    ports = "{portLevelMtls: {8080: {mode: STRICT}, 9090: {mode: STRICT}}}"
    around, found = configured(resource("PeerAuthentication", "a", ports))
    assert not list(unseen(found["PeerAuthentication shop/a port 8080"], around))


NOT_TAKEN_OUT = {
    # case: resource, why it stays; empty if it is taken out
    "telemetry": (("Telemetry", "{}", "shop"), "what a Telemetry does is not measured"),
    "gateway": (("VirtualService", "{hosts: [orders], gateways: [mesh, edge]}", "shop"), "it is bound to edge"),
    "gateway-of-a-match": (
        ("VirtualService", "{hosts: [orders], http: [{match: [{gateways: [edge]}]}]}", "shop"),
        "it is bound to edge",
    ),
    "gateway-api": (("HTTPRoute", "{parentRefs: [{name: edge}], rules: []}", "shop"), "it is bound to edge"),
    "service": (("HTTPRoute", "{parentRefs: [{kind: Service, group: '', name: orders}]}", "shop"), ""),
    "of-the-gateway": (
        ("AuthorizationPolicy", "{selector: {matchLabels: {istio: ingressgateway}}}", "istio-system"),
        "workloads of istio-system, which are not among these manifests, may have its labels",
    ),
    "mesh-wide": (("PeerAuthentication", "{mtls: {mode: STRICT}}", "istio-system"), ""),
}


@pytest.mark.parametrize("case", NOT_TAKEN_OUT)
def test_what_calls_in_the_mesh_cannot_show_is_not_taken_out(case: str) -> None:
    (kind, spec, namespace), words = NOT_TAKEN_OUT[case]
    around, found = configured(resource(kind, "a", spec, namespace))
    said = not_taken_out(found[f"{kind} {namespace}/a"], around)
    assert words in said if words else not said, said


def test_kinds_that_are_not_in_the_table_stay() -> None:
    assert ("telemetry.istio.io", "Telemetry") not in FIELDS
