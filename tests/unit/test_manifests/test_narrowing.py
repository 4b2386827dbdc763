"""A trial of some of the services, under the configuration of all."""

import pytest

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.expectations.reading import expected_in
from pytest_meshcheck.manifests.narrowing import expected_of_some, narrowed
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.reading import Text
from tests.unit.test_manifests.configured import WORKLOAD, configured, resource


def made(*resources: str) -> Plan:
    return configured(*(resources or [resource("PeerAuthentication", "all", "{mtls: {mode: STRICT}}")]))[0].plan


KEPT = {
    # patterns: the ports that are called, the workloads that take part
    ("shop/orders",): (["shop/orders:8080"], ["shop/orders-v1", "shop/orders-v2"]),
    ("shop/orders", "shop/web-v1"): (["shop/orders:8080"], ["shop/orders-v1", "shop/orders-v2", "shop/web-v1"]),
    ("shop/l*", "shop/stock"): (["shop/ledger:8080", "shop/stock:8080"], ["shop/ledger-v1", "shop/stock-v1"]),
}


@pytest.mark.parametrize("patterns", KEPT)
def test_what_matches_takes_part_with_the_workloads_behind_it(patterns: tuple[str, ...]) -> None:
    found = narrowed(made(), patterns)
    ports, workloads = KEPT[patterns]
    assert (sorted(map(str, found.destinations)), sorted(map(str, found.stand_ins))) == (ports, workloads)


def test_without_a_pattern_all_of_it_takes_part() -> None:
    whole = made()
    assert narrowed(whole, ()) is whole


def test_what_differs_is_said() -> None:
    *_, said = narrowed(made(), ["shop/orders"]).notes
    assert said == "--mesh-manifests-only=shop/orders leaves 1 of 4 ports"


UNKNOWN = {
    # pattern: the beginning of the error
    "shop/order": "no workload or service matches --mesh-manifests-only=shop/order; did you mean 'shop/orders'?",
    "bank/*": "no workload or service matches --mesh-manifests-only=bank/*; valid: shop/ledger, shop/ledger-v1, ",
    "shop/*-v1": "no service matches --mesh-manifests-only=shop/*-v1, so there is nothing to call",
}


@pytest.mark.parametrize("pattern", UNKNOWN)
def test_a_pattern_without_a_service_is_refused(pattern: str) -> None:
    with pytest.raises(ManifestError) as refused:
        narrowed(made(), [pattern])
    assert str(refused.value).startswith(UNKNOWN[pattern])


def test_resources_about_what_is_left_out_are_applied_and_never_taken_out() -> None:
    whole = made(
        resource("VirtualService", "orders", "{hosts: [orders], http: [{timeout: 2s}]}"),
        resource("VirtualService", "stock", "{hosts: [stock], http: [{timeout: 2s}]}"),
        resource("PeerAuthentication", "all", "{mtls: {mode: STRICT}}"),
    )
    found = narrowed(whole, ["shop/orders"])
    assert found.resources == whole.resources
    assert [one.name for one in found.fixed] == ["stock", "all"]


def test_a_policy_of_the_whole_mesh_is_about_what_is_left_out_too() -> None:
    whole = made(resource("PeerAuthentication", "default", "{mtls: {mode: STRICT}}", "istio-system"))
    assert [one.name for one in narrowed(whole, ["shop/orders"], "istio-system").fixed] == ["default"]


def test_a_policy_about_a_workload_without_a_service_that_is_left_out_is_never_taken_out() -> None:
    batch = WORKLOAD.format(name="batch", app="batch", version="v1")
    policy = resource("PeerAuthentication", "batch", "{selector: {matchLabels: {app: batch}}, mtls: {mode: STRICT}}")
    found = narrowed(made(batch, policy), ["shop/orders"])
    assert [one.name for one in found.fixed] == ["batch"]


def test_expectations_of_what_is_left_out_are_none() -> None:
    whole = made()
    content = "".join(
        f'[[{table}]]\nto = "shop/{service}:8080"\n{rest}\n'
        for service in ("orders", "web")
        for table, rest in (("access", "from = []"), ("once", ""), ("limit", "seconds = 2"))
    )
    content += '[[calls]]\nof = "shop/orders-v1"\nports = ["shop/web:8080", "shop/orders:8080"]\n'
    content += '[[identity]]\nof = "shop/web-v1"\nis = "a"\n'
    found = expected_of_some(expected_in(Text("meshcheck.toml", content), whole), narrowed(whole, ["shop/orders"]))
    assert str(found) == "expected (meshcheck.toml): 1 access, 1 at most once, 1 limits, calls of 1 workloads"
    assert found.calls == {"shop/orders-v1": {"shop/orders:8080"}}
