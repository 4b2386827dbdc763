"""Why parts of a configuration do nothing: each reason found where it applies, and not where it does not."""

import pytest

from pytest_meshcheck.manifests.mutation.without_effect import FINDERS, reason

from .configured import configured, resource

ROUTE = "{hosts: [%s], http: [{route: [{destination: {host: orders%s}}], timeout: 1s}]}"
DENY = "{selector: {matchLabels: {app: %s}}, action: DENY, rules: [{}]}"
SUBSETS = "{host: orders, subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]}"
TO_V1 = resource("VirtualService", "orders", ROUTE % ("orders", ", subset: v1"))
RULES = "{hosts: [orders], http: [%s]}"
OF_JASON, ALL = "{match: [{headers: {end-user: {exact: jason}}}]}", "{timeout: 1s}"
MODE = "{mtls: {mode: %s}}"
PORTS = "{selector: {matchLabels: {app: orders}}, portLevelMtls: {8080: {mode: STRICT}, 9: {mode: STRICT}}}"
HTTP_ROUTE = "{parentRefs: [{kind: Service, group: '', name: %s}], rules: [{matches: [%s]}, {matches: [%s]}]}"
PATH_A, PATH_B = "{path: {value: /a}}", "{path: {value: /b}}"

CASES = {
    # case: resources, the part, what the reason says; empty for none
    "host": (
        [resource("VirtualService", "a", ROUTE % ("ordres", ""))],
        "VirtualService shop/a",
        "no service of these manifests has the host ordres.shop.svc.cluster.local",
    ),
    "host-of-gateway-api": (
        [resource("HTTPRoute", "a", HTTP_ROUTE % ("ordres", PATH_A, PATH_B))],
        "HTTPRoute shop/a",
        "no service of these manifests has the host ordres.shop.svc.cluster.local",
    ),
    "host-with-namespace": (
        [resource("VirtualService", "a", ROUTE % ("orders.shop", ""))],
        "VirtualService shop/a",
        "no service of these manifests has the host orders.shop; a host with dots is taken as it is, so write NAME.",
    ),
    "one-host-of-two": ([resource("VirtualService", "a", ROUTE % ("ordres, orders", ""))], "VirtualService shop/a", ""),
    "host-outside": ([resource("VirtualService", "a", ROUTE % ("api.example.com", ""))], "VirtualService shop/a", ""),
    "host-of-others": (
        [resource("VirtualService", "a", ROUTE % ("a.other.svc.cluster.local", ""))],
        "VirtualService shop/a",
        "",
    ),
    "wildcard": (
        [resource("VirtualService", "a", ROUTE % ("'*.shop.svc.cluster.local'", ""))],
        "VirtualService shop/a",
        "",
    ),
    "selector": (
        [resource("AuthorizationPolicy", "a", DENY % "order")],
        "AuthorizationPolicy shop/a",
        "no workload of these manifests in shop has the labels app: order",
    ),
    "selector-matches": ([resource("AuthorizationPolicy", "a", DENY % "orders")], "AuthorizationPolicy shop/a", ""),
    "pods": (
        [resource("NetworkPolicy", "a", "{podSelector: {matchLabels: {app: order}}}")],
        "NetworkPolicy shop/a",
        "no workload of these manifests in shop has the labels app: order",
    ),
    "mesh-wide": (
        [resource("AuthorizationPolicy", "a", DENY % "orders", "istio-system")],
        "AuthorizationPolicy istio-system/a",
        "",
    ),
    "empty-namespace": (
        [resource("PeerAuthentication", "a", MODE % "STRICT", "empty")],
        "PeerAuthentication empty/a",
        "there is no workload in the namespace empty",
    ),
    "subset-without-endpoints": (
        [resource("DestinationRule", "a", SUBSETS), TO_V1],
        "DestinationRule shop/a subset v3",
        "no workload behind orders has the labels of the subset v3: version: v3",
    ),
    "subset-with-route": ([resource("DestinationRule", "a", SUBSETS), TO_V1], "DestinationRule shop/a subset v1", ""),
    "subset-without-route": (
        [resource("DestinationRule", "a", SUBSETS)],
        "DestinationRule shop/a subset v1",
        "no route of these manifests leads to the subset v1",
    ),
    "subset-with-a-route-that-is-never-met": (
        [
            resource("DestinationRule", "a", SUBSETS),
            resource(
                "VirtualService", "b", RULES % f"{ALL}, {{route: [{{destination: {{host: orders, subset: v1}}}}]}}"
            ),
        ],
        "DestinationRule shop/a subset v1",
        "no route of these manifests leads to the subset v1",
    ),
    "opaque": (
        [resource("VirtualService", "a", "{hosts: [ledger], http: [{timeout: 1s}]}")],
        "VirtualService shop/a",
        "the port is opaque: name tcp-ledger of shop/ledger:8080 (shop.yaml:",
    ),
    "opaque-by-tcp": (
        [resource("VirtualService", "a", "{hosts: [ledger], tcp: [{route: [{destination: {host: ledger}}]}]}")],
        "VirtualService shop/a",
        "",
    ),
    "grpc-is-http": (
        [resource("VirtualService", "a", "{hosts: [stock], http: [{timeout: 1s}]}")],
        "VirtualService shop/a",
        "",
    ),
    "shadowed": (
        [resource("VirtualService", "a", RULES % f"{ALL}, {OF_JASON}")],
        "VirtualService shop/a rule 2",
        "rule 1 before it matches every request",
    ),
    "shadowed-by-prefix": (
        [resource("VirtualService", "a", RULES % f"{{match: [{{uri: {{prefix: /}}}}]}}, {OF_JASON}")],
        "VirtualService shop/a rule 2",
        "rule 1 before it matches every request",
    ),
    "behind-exact": (
        [resource("VirtualService", "a", RULES % f"{{match: [{{uri: {{exact: /}}}}]}}, {ALL}")],
        "VirtualService shop/a rule 2",
        "",
    ),
    "in-order": ([resource("VirtualService", "a", RULES % f"{OF_JASON}, {ALL}")], "VirtualService shop/a rule 2", ""),
    "same-match": (
        [resource("VirtualService", "a", RULES % f"{OF_JASON}, {OF_JASON}, {ALL}")],
        "VirtualService shop/a rule 2",
        "rule 1 before it matches the same requests",
    ),
    "same-path": (
        [resource("HTTPRoute", "a", HTTP_ROUTE % ("orders", PATH_A, PATH_A))],
        "HTTPRoute shop/a rule 2",
        "rule 1 before it matches the same requests",
    ),
    "other-path": (
        [resource("HTTPRoute", "a", HTTP_ROUTE % ("orders", PATH_A, PATH_B))],
        "HTTPRoute shop/a rule 2",
        "",
    ),
    "twice": (
        [
            resource(
                "AuthorizationPolicy",
                "a",
                "{rules: [{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {methods: [GET]}}]}]}",
            )
        ],
        "AuthorizationPolicy shop/a rule 1",
        "rule 2 says the same; keep one of the two",
    ),
    "twice-in-two": (
        [resource("AuthorizationPolicy", one, DENY % "orders") for one in ("a", "b")],
        "AuthorizationPolicy shop/b",
        "AuthorizationPolicy shop/a (mesh.yaml:2) says the same; keep one of the two",
    ),
    "overruled": (
        [TO_V1, resource("VirtualService", "b", ROUTE % ("orders.shop.svc.cluster.local", ""))],
        "VirtualService shop/b",
        "overruled by VirtualService shop/orders (mesh.yaml:2), about the same hosts",
    ),
    "goes-there-anyway": (
        [resource("VirtualService", "a", "{hosts: [web], http: [{route: [{destination: {host: web}}]}]}")],
        "VirtualService shop/a",
        "requests go to web anyway",
    ),
    "goes-to-all-there-is": (
        [
            resource(
                "VirtualService", "a", "{hosts: [web], http: [{route: [{destination: {host: web, subset: v1}}]}]}"
            ),
            resource("DestinationRule", "a", "{host: web, subsets: [{name: v1, labels: {version: v1}}]}"),
        ],
        "VirtualService shop/a",
        "requests go to web anyway, and every workload behind it has the labels of the subset v1",
    ),
    "goes-to-one-of-two": (
        [
            resource("VirtualService", "a", RULES % "{route: [{destination: {host: orders, subset: v1}}]}"),
            resource("DestinationRule", "a", SUBSETS),
        ],
        "VirtualService shop/a",
        "",
    ),
    "goes-elsewhere": (
        [resource("VirtualService", "a", "{hosts: [web], http: [{route: [{destination: {host: orders}}]}]}")],
        "VirtualService shop/a",
        "",
    ),
    "goes-there-with-a-limit": (
        [resource("VirtualService", "a", "{hosts: [web], http: [{route: [{destination: {host: web}}], timeout: 1s}]}")],
        "VirtualService shop/a",
        "",
    ),
    "policies-add-up": (
        [
            resource("AuthorizationPolicy", "a", DENY % "orders"),
            resource("AuthorizationPolicy", "b", "{selector: {matchLabels: {app: orders}}}"),
        ],
        "AuthorizationPolicy shop/b",
        "",
    ),
    "wider": (
        [
            resource("PeerAuthentication", "a", MODE % "STRICT", "istio-system"),
            resource("PeerAuthentication", "b", MODE % "STRICT"),
        ],
        "PeerAuthentication shop/b",
        "PeerAuthentication istio-system/a (mesh.yaml:2) says STRICT already",
    ),
    "default-mode": (
        [resource("PeerAuthentication", "a", MODE % "PERMISSIVE")],
        "PeerAuthentication shop/a",
        "PERMISSIVE holds without it",
    ),
    "strict": ([resource("PeerAuthentication", "a", MODE % "STRICT")], "PeerAuthentication shop/a", ""),
    "port": (
        [resource("PeerAuthentication", "a", PORTS)],
        "PeerAuthentication shop/a port 9",
        "no workload that it selects has the port 9",
    ),
    "port-that-is-served": ([resource("PeerAuthentication", "a", PORTS)], "PeerAuthentication shop/a port 8080", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_is_found_where_it_applies(case: str) -> None:
    resources, name, words = CASES[case]
    around, found = configured(*resources)
    seen = reason(found[name], around)
    assert words in seen.words if seen and words else seen is None and not words, seen


@pytest.mark.parametrize("finder", [one for one, _ in FINDERS], ids=lambda one: one.__name__)
def test_every_reason_is_one_of_some_case_and_not_of_another(finder: object) -> None:
    said = [
        bool(finder(found[name], around))
        for resources, name, _ in CASES.values()
        for around, found in [configured(*resources)]
    ]  # type: ignore[operator]
    assert set(said) == {True, False}
