"""What a configuration comes to, as reports show it."""

from collections.abc import Callable
from typing import Any

import pytest

from pytest_meshcheck.checks.effective_values import EffectiveValues
from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.report.effects_table import effects_table
from pytest_meshcheck.report.formats import html, markdown
from pytest_meshcheck.report.model import Report

MakeResult = Callable[..., Result]
ONCE = {"503": 1, "reset": 1, "stall": 1}


def values(**fields: Any) -> EffectiveValues:
    given = {
        "destination": "shop/orders:80",
        "callers": ("shop/web", "shop/cart"),
        "limits": {},
        "patience": 16.0,
        "attempts": {"GET": ONCE, "POST": ONCE},
        "identities": ("spiffe://a/ns/shop/sa/web", "spiffe://a/ns/shop/sa/cart"),
    }
    return EffectiveValues(**{**given, **fields})


LIMITS = {
    # case: limits by method, what is said, whether some requests have none
    "none": ({}, "none within 16 s", True),
    "both": ({"GET": 2.0, "POST": 2.0}, "2 s", False),
    "alike": ({"GET": 2.1, "POST": 2.0}, "2 s", False),
    "different": ({"GET": 2.0, "POST": 1.5}, "GET 2 s, POST 1.5 s", False),
    "one": ({"POST": 2.5}, "GET none within 16 s, POST 2.5 s", True),
}
ATTEMPTS = {
    # case: attempts by method and failure, what is said
    "once": ({"GET": ONCE, "POST": ONCE}, "1"),
    "get": ({"GET": {"503": 3, "reset": 3, "stall": 3}, "POST": ONCE}, "GET 3, POST 1"),
    "without-stall": ({"GET": {"503": 3, "reset": 3, "stall": 1}}, "3 (stall 1)"),
    "all-different": ({"call": {"unavailable": 3, "reset": 2, "stall": 1}}, "3 (reset 2, stall 1)"),
    "nothing": ({"GET": {}}, "not seen"),
}
IDENTITIES = {
    # case: what services see, what is said
    "several": (("spiffe://a/ns/shop/sa/web", "spiffe://a/ns/shop/sa/cart"), "spiffe://a/ns/shop/sa/… web, cart"),
    "one": (("spiffe://a/ns/shop/sa/web", "spiffe://a/ns/shop/sa/web"), "spiffe://a/ns/shop/sa/web"),
    "names": (
        ("web.shop.serviceaccount", "cart.shop.serviceaccount"),
        "web.shop.serviceaccount, cart.shop.serviceaccount",
    ),
    "some": (("", "spiffe://a/ns/shop/sa/web"), "spiffe://a/ns/shop/sa/web"),
    "none": (("", ""), "none"),
}


@pytest.fixture
def measured(make_result: MakeResult) -> Callable[..., Result]:
    def make(**fields: Any) -> Result:
        return make_result(
            "own/effective-values[a]", Verdict.CONFORMS, "own.effective-values", effective=(values(**fields),)
        )

    return make


@pytest.mark.parametrize("case", LIMITS)
def test_limits_are_told_together_if_they_are_equal(case: str, measured: Callable[..., Result]) -> None:
    limits, said, unlimited = LIMITS[case]
    (row,) = effects_table([measured(limits=limits)])
    assert (row.limit, row.unlimited) == (said, unlimited)


@pytest.mark.parametrize("case", ATTEMPTS)
def test_attempts_are_told_by_what_differs(case: str, measured: Callable[..., Result]) -> None:
    attempts, said = ATTEMPTS[case]
    (row,) = effects_table([measured(attempts=attempts)])
    assert row.attempts == said


@pytest.mark.parametrize("case", IDENTITIES)
def test_identities_share_what_they_have_in_common(case: str, measured: Callable[..., Result]) -> None:
    identities, said = IDENTITIES[case]
    (row,) = effects_table([measured(identities=identities)])
    assert row.identity == said


@pytest.mark.parametrize(("render", "strong"), [(markdown.render, "**{}**"), (html.render, "<strong>{}</strong>")])
def test_a_report_has_a_table_that_marks_what_is_not_limited(
    render: Callable[[Report], str],
    strong: str,
    make_report: Callable[..., Report],
    make_result: MakeResult,
    measured: Callable[..., Result],
) -> None:
    page = render(make_report(measured()))
    for shown in ("Effective values", "shop/orders:80", "shop/web, shop/cart", "sa/… web, cart"):
        assert shown in page
    assert strong.format("none within 16 s") in page
    assert strong.format("2 s") not in render(make_report(measured(limits={"GET": 2.0, "POST": 2.0})))
    assert "What your configuration" not in render(make_report(make_result("mtls/a", Verdict.CONFORMS, "own.access")))


@pytest.mark.parametrize(("idle", "said"), [(4.0, "up to 4 s"), (0.0, "9 s and more")])
def test_how_long_a_connection_may_be_idle_is_said(measured: Callable[..., Result], idle: float, said: str) -> None:
    assert [row.idle for row in effects_table([measured(idle=idle)])] == [said]


def test_a_port_of_bytes_has_no_requests(measured: Callable[..., Result]) -> None:
    (row,) = effects_table([measured(attempts={}, limits={})])
    assert (row.limit, row.attempts, row.unlimited) == ("no requests", "no requests", False)
