"""Hosts outside of the mesh: which a stand-in plays, and where their entries lead then."""

from typing import Any

import pytest

from pytest_meshcheck.manifests.expectations.reading import expected_in
from pytest_meshcheck.manifests.external_hosts import external_hosts, led_to
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.plan import plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.manifests.settings import Setting, settings
from tests.unit.test_manifests.configured import ISTIO, SHOP, resource

RATES = "{hosts: [rates.example], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, protocol: HTTP}]}"


def entry(spec: str, name: str = "rates") -> str:
    return resource("ServiceEntry", name, spec)


def resources(*written: str) -> list[KubernetesObject]:
    return objects_in([Text("mesh.yaml", "".join(written))])


def test_a_host_is_called_on_its_ports_of_http_and_grpc() -> None:
    ports = "[{number: 80, protocol: HTTP}, {number: 9000, protocol: grpc}, {number: 443, protocol: TLS}]"
    found = external_hosts(resources(entry(f"{{hosts: [Rates.example], ports: {ports}}}")))
    assert [str(one) for one in found.destinations] == ["rates.example:80", "rates.example:9000"]
    assert found.notes == ("ServiceEntry shop/rates (mesh.yaml:2): port 443 is not called, as it speaks TLS",)


def test_entries_for_one_host_have_one_stand_in() -> None:
    other = "{hosts: [rates.example], ports: [{number: 8080, protocol: HTTP}]}"
    (found,) = external_hosts(resources(entry(RATES), entry(other, "other"))).stand_ins
    assert (str(found), [port.number for port in found.ports]) == ("rates.example", [80, 8080])
    assert not any(port.name for port in found.ports), "two entries may give two ports one name"


NOT_PLAYED = {
    # case: the specification, why there is no stand-in
    "wildcard": ("{hosts: ['*.example'], ports: [{number: 80, protocol: HTTP}]}", "*.example names no single host"),
    "short": ("{hosts: [rates], ports: [{number: 80, protocol: HTTP}]}", "rates names no single host"),
    "internal": (RATES.replace("MESH_EXTERNAL", "MESH_INTERNAL"), "it is about workloads of the mesh"),
    "selector": (f"{RATES[:-1]}, workloadSelector: {{labels: {{a: b}}}}}}", "it is about workloads of the mesh"),
    "tls": (RATES.replace("HTTP", "TLS"), "none of its ports speaks HTTP, HTTP2, GRPC"),
}


@pytest.mark.parametrize("case", NOT_PLAYED)
def test_what_no_stand_in_plays_is_said_with_the_reason(case: str) -> None:
    spec, reason = NOT_PLAYED[case]
    found = external_hosts(resources(entry(spec)))
    assert not found.destinations
    assert found.notes == (f"ServiceEntry shop/rates (mesh.yaml:2) has no stand-in: {reason}",)


@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL", "DISABLE"])
def test_a_host_that_sidecars_speak_tls_to_has_no_stand_in(mode: str) -> None:
    policy = f"{{host: rates.example, trafficPolicy: {{portLevelSettings: [{{tls: {{mode: {mode}}}}}]}}}}"
    found = external_hosts(resources(entry(RATES), resource("DestinationRule", "tls", policy)))
    assert bool(found.destinations) is (mode == "DISABLE")
    assert all("DestinationRule shop/tls (mesh.yaml:7) has TLS spoken to it" in one for one in found.notes)


LEADS = {
    # resolution: what becomes of the entry
    "DNS": {"resolution": "STATIC", "endpoints": [{"address": "10.0.0.9"}]},
    "STATIC": {"resolution": "STATIC", "endpoints": [{"address": "10.0.0.9"}]},
    "NONE": {"resolution": "NONE"},
}


@pytest.mark.parametrize("resolution", LEADS)
def test_an_entry_that_resolves_its_host_leads_to_the_stand_in(resolution: str) -> None:
    spec: dict[str, Any] = {"hosts": ["rates.example"], "resolution": resolution}
    found = led_to({"kind": "ServiceEntry", "spec": spec}, "10.0.0.9")
    assert found == {"kind": "ServiceEntry", "spec": {"hosts": ["rates.example"], **LEADS[resolution]}}


ROUTE = resource("VirtualService", "rates", "{hosts: [rates.example], http: [{timeout: 2s}]}")


def test_a_host_is_a_port_of_the_plan_with_its_own_settings() -> None:
    made = plan(objects_in([Text("shop.yaml", SHOP), Text("mesh.yaml", entry(RATES) + ROUTE)]), ISTIO)
    (host,) = [one for one in made.destinations if one.external_host]
    assert settings(made, host, Setting.LIMIT) == ("VirtualService shop/rates (mesh.yaml:7): spec.http[0].timeout",)
    assert "rates.example" not in map(str, made.stand_ins), "it calls nobody"


def test_plaintext_to_a_host_outside_of_the_mesh_is_nothing_to_expect() -> None:
    made = plan(objects_in([Text("shop.yaml", SHOP), Text("mesh.yaml", entry(RATES))]), ISTIO)
    found = expected_in(Text("meshcheck.toml", 'plaintext = "refused"\n'), made)
    assert set(found.access) == {str(one) for one in made.destinations} - {"rates.example:80"}
