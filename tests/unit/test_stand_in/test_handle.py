"""A stand-in in the hands of a test: the suite's words, and the names that lead to services."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_meshcheck.checks.expect import expect
from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.probe.process.own_loop import WrongLoop
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.arrivals import more_sent
from pytest_meshcheck.testbed.stand_in import clients
from pytest_meshcheck.testbed.stand_in.names import UnknownName, host_of

from .shop import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ["payments", "payments.shop", "payments.shop.svc", "payments.shop.svc.cluster.local", "PAYMENTS.shop."]


@pytest.mark.parametrize("host", NAMES)
async def test_a_service_is_found_by_each_of_its_names(host: str, shop: Shop) -> None:
    answer = await shop.stand_in("shop/orders").http.get(f"http://{host}:8080/")
    assert (answer.status_code, answer.text) == (200, "served\n")
    (attempt,) = await shop.stand_in("shop/payments").attempts(answer)
    assert attempt.authority == f"{host.lower()}:8080"


async def test_a_short_name_is_that_of_the_callers_namespace(shop: Shop) -> None:
    outsider = shop.stand_in("outsider")
    with pytest.raises(httpx.ConnectError, match=r"no service 'payments' in these manifests; did you mean 'payments."):
        await outsider.http.get("http://payments/")
    assert (await outsider.http.get("http://payments.shop:8080/")).status_code == 200


async def test_a_headless_service_leads_to_a_pod(shop: Shop) -> None:
    assert (await shop.stand_in("shop/orders").http.get("http://payments-pods:8080/")).status_code == 200


LEFT_TO_THE_POD = {
    # host: what is dialled
    "api.example.org": "api.example.org",
    "10.96.0.1": "10.96.0.1",
    "localhost": "localhost",
    "kubernetes.default": "kubernetes.default",
    "elsewhere": "elsewhere.shop.svc.cluster.local",
}


@pytest.mark.parametrize("host", LEFT_TO_THE_POD)
async def test_what_is_no_service_with_an_address_is_left_to_the_resolver_of_the_pod(host: str, shop: Shop) -> None:
    assert host_of(shop, shop.replicas["shop/orders"][0], host).dialled == LEFT_TO_THE_POD[host]


@pytest.mark.parametrize("host", ["paymets", "paymets.shop", "paymets.shop.svc.cluster.local"])
async def test_a_misspelt_service_is_named_with_the_nearest_one(host: str, shop: Shop) -> None:
    with pytest.raises(UnknownName, match=rf"no service '{host}' in these manifests; did you mean 'payments"):
        await shop.stand_in("shop/orders").get(f"{host}:8080/pay")


async def test_a_misspelt_stand_in_is_named_with_the_nearest_one(shop: Shop) -> None:
    with pytest.raises(UnknownName, match="no workload 'shop/order' in these manifests; did you mean 'shop/orders'"):
        shop.stand_in("shop/order")
    with pytest.raises(UnknownName, match="no workload 'x' in these manifests; valid: outsider, shop/orders, shop/pay"):
        shop.stand_in("x")


async def test_the_words_of_the_suite(shop: Shop) -> None:
    orders, payments = shop.stand_in("shop/orders"), shop.stand_in("shop/payments")
    failing = await payments.answers(503, m.Answer(body=m.Body(text='{"paid": true}')))
    first = await orders.post("payments:8080/pay?by=card", "1 euro", request_id=failing)
    expect(first).answered(503)
    second = await orders.http.post("http://payments:8080/pay", headers={m.REQUEST_ID_HEADER: failing})
    assert second.json() == {"paid": True}
    attempts = await payments.attempts(failing)
    assert [(one.method, one.path, one.body_length) for one in attempts] == [
        ("POST", "/pay?by=card", 6),
        ("POST", "/pay", 0),
    ]


async def test_each_port_is_spoken_to_in_the_protocol_that_it_declares(shop: Shop) -> None:
    orders, payments = shop.stand_in("shop/orders"), shop.stand_in("shop/payments")
    called = await orders.get("payments:9000")
    assert (called.protocol, called.grpc_status) == (m.Protocol.GRPC, 0)
    plain = await orders.get("http://payments:9000/x", protocol="http/1.1")
    assert [one.path for one in await payments.attempts(plain)] == ["/x"]


async def test_attempts_of_a_request_that_failed_are_known_by_its_error(shop: Shop) -> None:
    orders, payments = shop.stand_in("shop/orders"), shop.stand_in("shop/payments")
    silent = await payments.answers(m.Answer(behaviour=m.Behaviour.STALL))
    with pytest.raises(httpx.ReadTimeout) as late:
        await orders.http.get("http://payments:8080/", headers={m.REQUEST_ID_HEADER: silent}, timeout=0.3)
    assert len(await payments.attempts(late.value)) == 1


async def test_a_load_is_joined_with_what_arrived(shop: Shop) -> None:
    orders = shop.stand_in("shop/orders")
    async with orders.load("payments:8080/", 50) as load:
        await more_sent(load, number=5, within=10.0)
    assert load.result.served_once
    assert load.result.reached == load.result.sent >= 5
    with pytest.raises(ValueError, match=r"'10.0.0.1:80' leads to no stand-in"):
        async with orders.load("10.0.0.1:80", 50):
            pytest.fail("nobody counts what arrives there")


async def test_a_url_without_a_host_is_refused(shop: Shop) -> None:
    with pytest.raises(ValueError, match="'/pay' names no host; write HOST:PORT/PATH"):
        await shop.stand_in("shop/orders").get("/pay")


BLOCKING: dict[str, Callable[[Any], object]] = {
    "get": lambda one: one.get("payments"),
    "http": lambda one: one.http.get("http://payments/"),
}


@pytest.mark.parametrize("call", BLOCKING)
async def test_a_coroutine_is_told_to_await(call: str, shop: Shop) -> None:
    with pytest.raises(WrongLoop, match=r"is for functions, and this is a coroutine: leave out .blocking"):
        BLOCKING[call](shop.stand_in("shop/orders").blocking)


async def test_without_httpx_the_client_says_what_to_install(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'httpx'")

    monkeypatch.setitem(clients.__dict__, "import_module", lambda _name: missing())
    for of in (shop.stand_in("shop/orders"), shop.stand_in("shop/orders").blocking):
        with pytest.raises(ClusterError, match=r"needs httpx, which is not installed: pip install 'pytest-meshcheck\["):
            assert of.http
