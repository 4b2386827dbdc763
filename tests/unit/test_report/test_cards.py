"""What belongs together on one card."""

from collections.abc import Callable
from typing import Any

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report.cards import cards
from pytest_meshcheck.report.formats import html, markdown

MakeResult = Callable[..., Result]


def violation(
    make_result: MakeResult, check: str, actual: str, requirement: str = "retry.count", **more: Any
) -> Result:
    return make_result(check, Verdict.VIOLATES, requirement, expected="1 attempt", actual=actual, **more)


def test_parameters_of_one_requirement_share_a_card(make_result: MakeResult) -> None:
    found = cards(
        [
            violation(make_result, "retry/count[http]", "3 arrived within 25 ms"),
            violation(make_result, "mtls/other", "answered", "mtls.strict"),
            violation(make_result, "retry/count[grpc]", "3 arrived within 31 ms"),
            violation(make_result, "retry/count[tcp]", "2 arrived within 31 ms"),
        ]
    )
    assert [card.title for card in found] == ["retry/count", "mtls/other"]
    assert [len(finding.results) for finding in found[0].findings] == [2, 1]


def test_a_card_of_several_checks_is_named_by_the_requirement(make_result: MakeResult) -> None:
    (card,) = cards([violation(make_result, "retry/a", "x"), violation(make_result, "retry/b", "x")])
    assert card.title == "retry.count"


def test_levels_do_not_share_a_card(make_result: MakeResult) -> None:
    results = [violation(make_result, "retry/a", "x"), violation(make_result, "retry/b", "x", level=Level.SHOULD)]
    assert len(cards(results)) == 2


def test_pages_say_once_what_was_seen_alike(make_result: MakeResult, make_report: Callable[..., Any]) -> None:
    report = make_report(*(violation(make_result, f"retry/count[{one}]", "too many") for one in ("http", "grpc")))
    for text in (markdown.render(report), html.render(report).partition(">Checks ")[0]):
        assert text.count("too many") == 1
        assert "retry/count[http]" in text
        assert "retry/count[grpc]" in text
