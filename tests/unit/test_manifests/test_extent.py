"""How much of large manifests is observed."""

from pathlib import Path

import pytest

from pytest_meshcheck.manifests.described import described
from pytest_meshcheck.manifests.extent import CALLERS_AT_MOST, may_arrive, sampled
from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import objects_in, texts_of

SERVICE = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: none, ports: [{{containerPort: 80}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
---
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: route}}
spec: {{hosts: [{host}], http: [{{route: [{{destination: {{host: {to}}}}}]}}]}}
"""


def made(folder: Path, names: list[str], rest: str = "") -> Plan:
    (folder / "all.yaml").write_text("".join(SERVICE.format(name=name) for name in names) + rest)
    return plan(objects_in(texts_of([folder])), Configured("istio", ["networking.istio.io"]))


@pytest.mark.parametrize("to", ["pay", "pay.shop.svc.cluster.local", "{pay.shop}", "x|80||pay.shop"])
def test_requests_may_arrive_behind_any_service_that_a_resource_names(tmp_path: Path, to: str) -> None:
    whole = made(tmp_path, ["orders", "pay", "pay-2", "log"], ROUTE.format(host="orders", to=f'"{to}"'))
    found = {one.service: {each.split("/")[-1] for each in may_arrive(whole, one)} for one in whole.destinations}
    assert found["orders"] == {"orders", "pay"}
    assert found["log"] == {"orders", "pay", "log"}


NAMES = [f"service-{number:02}" for number in range(20)]


def test_each_port_has_other_callers() -> None:
    samples = [sampled(NAMES, [], NAMES, place) for place in range(len(NAMES))]
    assert {len(one) for one in samples} == {CALLERS_AT_MOST}
    assert set[str]().union(*samples) == set(NAMES)


@pytest.mark.parametrize("place", range(3))
def test_callers_that_are_known_or_served_come_first(place: int) -> None:
    known, served = ["service-13", "service-17"], ["service-03", "service-13"]
    found = sampled(NAMES, known, served, place)
    assert found > {*known, *served}
    assert len(found) == CALLERS_AT_MOST


def test_of_many_known_callers_some_are_chosen() -> None:
    assert sampled(NAMES, NAMES[:10], NAMES[10:], 0) < set(NAMES[:10])


@pytest.mark.parametrize("number", [CALLERS_AT_MOST - 1, CALLERS_AT_MOST])
def test_a_sample_is_announced(tmp_path: Path, number: int) -> None:
    names = [f"service-{at}" for at in range(number)]
    whole = made(tmp_path, names)
    stranger = "stranger"
    assert (sampled([*names, stranger], [], names, 0) == {*names, stranger}) is (number < CALLERS_AT_MOST)
    said = any("effective values of each port are measured for" in line for line in described(whole, "istio"))
    assert said is (number >= CALLERS_AT_MOST)
