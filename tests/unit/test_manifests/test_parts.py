"""What can be taken out of a configuration, and where it is written."""

from pytest_meshcheck.manifests.mutation.parts import parts
from pytest_meshcheck.manifests.reading import Text, objects_in

TEXT = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: shop}
spec:
  hosts: [orders]
  http:
  - match: [{uri: {prefix: /pay}}]
    timeout: 1s
  - timeout: 2s
---
apiVersion: v1
kind: List
items:
- apiVersion: networking.istio.io/v1
  kind: DestinationRule
  metadata: {name: orders, namespace: shop}
  spec:
    host: orders
    subsets:
    - name: v1
      labels: {version: v1}
    - name: v2
      labels: {version: v2}
- apiVersion: security.istio.io/v1
  kind: PeerAuthentication
  metadata: {name: orders, namespace: shop}
  spec:
    portLevelMtls:
      8080: {mode: STRICT}
      "9090": {mode: DISABLE}
- apiVersion: security.istio.io/v1
  kind: AuthorizationPolicy
  metadata: {name: orders, namespace: shop}
  spec:
    rules:
    - from: []
"""
PARTS = {
    "VirtualService shop/orders": 1,
    "VirtualService shop/orders rule 1": 7,
    "VirtualService shop/orders rule 2": 9,
    "DestinationRule shop/orders": 14,
    "DestinationRule shop/orders subset v1": 20,
    "DestinationRule shop/orders subset v2": 22,
    "PeerAuthentication shop/orders": 24,
    "PeerAuthentication shop/orders port 8080": 29,
    "PeerAuthentication shop/orders port 9090": 30,
    "AuthorizationPolicy shop/orders": 31,
}
TEXTS = [Text("k8s.yaml", TEXT)]
FOUND = {str(one): one for one in parts(objects_in(TEXTS), TEXTS)}


def test_each_resource_is_a_part_and_each_of_two_or_more_rules_with_its_line() -> None:
    assert {name: one.place.line for name, one in FOUND.items()} == PARTS
    assert {one.place.file for one in FOUND.values()} == {"k8s.yaml"}


def test_without_the_texts_rules_have_the_line_of_their_resource() -> None:
    assert {one.place.line for one in parts(objects_in(TEXTS))} == {1, 14, 24, 31}


def test_a_resource_without_a_rule_has_the_others_and_the_original_is_as_it_was() -> None:
    rule = FOUND["VirtualService shop/orders rule 1"]
    assert rule.rest is not None
    assert rule.rest.spec == {"hosts": ["orders"], "http": [{"timeout": "2s"}]}
    assert len(rule.resource.spec["http"]) == 2
    assert rule.content == {"match": [{"uri": {"prefix": "/pay"}}], "timeout": "1s"}
    port = FOUND["PeerAuthentication shop/orders port 9090"].rest
    assert port is not None
    assert port.spec == {"portLevelMtls": {8080: {"mode": "STRICT"}}}
    assert FOUND["DestinationRule shop/orders"].rest is None
