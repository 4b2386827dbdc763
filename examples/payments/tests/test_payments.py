"""What the shop relies on when orders calls payments."""

from collections.abc import Callable

import httpx
import pytest

from pytest_meshcheck.suite import Answer, Behaviour, Body, RunningStandIn, expect

StandIn = Callable[[str], RunningStandIn]
PAY = "http://payments:8080/pay"


def test_orders_pays(stand_in: StandIn) -> None:
    orders, payments = stand_in("shop/orders").blocking, stand_in("shop/payments").blocking
    paid = payments.answers(Answer(status=201, body=Body(text='{"paid": true}')))
    answer = orders.http.post(PAY, json={"amount": 12}, headers={"x-meshcheck-id": paid})
    assert answer.status_code == 201
    assert answer.json() == {"paid": True}


def test_a_payment_that_fails_is_made_once(stand_in: StandIn) -> None:
    orders, payments = stand_in("shop/orders").blocking, stand_in("shop/payments").blocking
    failing = payments.answers(503, repeat=True)
    answer = orders.http.post(PAY, json={"amount": 12}, headers={"x-meshcheck-id": failing})
    assert answer.status_code == 503
    assert len(payments.attempts(answer)) == 1


def test_nobody_else_pays(stand_in: StandIn) -> None:
    payments = stand_in("shop/payments").blocking
    refused = stand_in("shop/web").blocking.http.post(PAY, json={"amount": 12})
    assert refused.status_code == 403
    assert not payments.attempts(refused)
    with pytest.raises(httpx.TransportError) as plaintext:
        stand_in("outsider").blocking.http.post("http://payments.shop:8080/pay", json={"amount": 12})
    assert not payments.attempts(plaintext.value)


@pytest.mark.asyncio
async def test_orders_does_not_wait_for_ever(stand_in: StandIn) -> None:
    orders, payments = stand_in("shop/orders"), stand_in("shop/payments")
    silent = await payments.answers(Answer(behaviour=Behaviour.STALL), repeat=True)
    exchange = await orders.post("payments:8080/pay", '{"amount": 12}', request_id=silent)
    expect(exchange).answered(504)


@pytest.mark.asyncio
async def test_orders_is_served_under_load(stand_in: StandIn) -> None:
    orders, payments = stand_in("shop/orders"), stand_in("shop/payments")
    async with orders.load("payments:8080/", rate=50) as load:
        assert (await orders.http.get("http://payments:8080/")).status_code == 200
    assert load.result.served_once, load.result.failed
    assert {attempt.method for attempt in await payments.attempts(f"{load.request_id}-0")} == {"GET"}
