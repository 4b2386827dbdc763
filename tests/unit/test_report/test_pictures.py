"""The pictures of a report: what they show, and that they stay inside the page."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from pytest_meshcheck.checks.history import History, LoadLine, Mark, MarkKind, TimeLine, TriedAt
from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.model.observation import LoadSlice
from pytest_meshcheck.probe.protocol.messages import AttemptEnding, Ending, Protocol
from pytest_meshcheck.report.formats import html, load_chart, seconds_chart, svg, timeline

CUT = TriedAt(server="server-0", number=1, arrived=0.01, ended=0.1, ending=AttemptEnding.CUT)
GOOD = TriedAt(server="server-0", number=2, arrived=0.12, answered=0.2, ended=0.2, ending=AttemptEnding.ANSWERED)
SLOW = TriedAt(server="server-0", number=3, arrived=0.2, ended=0.5, ending=AttemptEnding.CANCELLED)


def request(*attempts: TriedAt, **more: Any) -> TimeLine:
    defaults = {"protocol": Protocol.HTTP1, "seconds": 0.25, "ending": Ending.ANSWERED, "status": 200}
    ends = {"client": "blue/client", "server": "blue/server", "attempts": attempts}
    return TimeLine(**{**ends, **defaults, **more})


LOAD = LoadLine(
    name="blue/client -> blue/server, http",
    slices=(LoadSlice(sent=50, slowest=0.2), LoadSlice(sent=50, failed=2, slowest=1.5), LoadSlice(sent=20, doubled=1)),
    marks=(Mark(0.5, MarkKind.ROTATION, "issuer"), Mark(1.5, MarkKind.CERTIFICATE, "5f3a")),
)


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def bars(picture: str, kind: str) -> list[tuple[float, float]]:
    """The left and the right end of each bar of a kind, in per cent."""
    found = [one for one in parsed(picture).iter("rect") if kind in one.get("class", "").split()]
    ends = [(float(one.get("x", "").rstrip("%")), float(one.get("width", "").rstrip("%"))) for one in found]
    return [(begin, round(begin + width, 2)) for begin, width in ends]


def test_the_client_is_above_its_attempts() -> None:
    picture = timeline.draw(request(CUT, GOOD))
    rows = [float(one.get("y", "")) for one in parsed(picture).iter("rect")]
    assert rows == sorted(rows)
    assert "blue/client: answered 200 after 250 ms" in picture
    assert "attempt 1: at 10 ms, cut by the server after 90 ms" in picture
    assert bars(picture, "cut") == [(4, 40)]


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        ({}, "answered"),
        ({"status": 503}, "error"),
        ({"protocol": Protocol.GRPC, "status": 0}, "answered"),
        ({"protocol": Protocol.GRPC, "status": 14}, "error"),
        ({"protocol": Protocol.TCP, "status": None}, "answered"),
        ({"ending": Ending.RESET}, "broken"),
    ],
)
def test_only_what_was_served_is_drawn_as_good(seen: dict[str, Any], kind: str) -> None:
    assert bars(timeline.draw(request(**seen)), "client") == bars(timeline.draw(request(**seen)), kind)


def test_attempts_at_several_servers_name_them() -> None:
    picture = timeline.draw(request(CUT, msgspec.structs.replace(GOOD, server="server-1")))
    assert "server-1, attempt 2: at 120 ms, answered after 80 ms" in picture


def test_what_comes_after_the_end_of_the_client_is_late() -> None:
    assert bars(timeline.draw(request(SLOW)), "late") == [(50, 100)]
    assert bars(timeline.draw(request(GOOD)), "late") == []


@pytest.mark.parametrize(
    ("attempts", "words"),
    [((), "Nothing reached the application."), (None, "Whether attempts reached the server is unknown.")],
)
def test_a_request_without_attempts_says_why(attempts: tuple[()] | None, words: str) -> None:
    assert words in timeline.draw(msgspec.structs.replace(request(), attempts=attempts))


def test_an_attempt_that_ended_before_the_request_says_so() -> None:
    earlier = msgspec.structs.replace(GOOD, arrived=-0.5, ended=-0.001)
    assert "attempt 2: 500 ms before, answered after 499 ms" in timeline.draw(request(earlier))


def test_a_storm_of_attempts_is_told_by_its_number() -> None:
    picture = timeline.draw(request(*(msgspec.structs.replace(CUT, number=n) for n in range(1, 41))))
    assert len(bars(picture, "cut")) == timeline.SHOWN
    assert f"and {40 - timeline.SHOWN} more attempts" in picture


def test_a_load_shows_losses_where_they_were() -> None:
    picture = load_chart.draw(LOAD)
    wide = [one for one in bars(picture, "wrong") if one[1] - one[0] > 33]
    assert wide == [(33.33, 66.66), (66.67, 100)]
    assert "2 failed" in picture
    assert load_chart.summary(LOAD) == "120 requests in 3 s, 2 failed, 1 served twice"


def test_requests_that_a_conforming_check_wanted_refused_are_no_losses() -> None:
    refused = msgspec.structs.replace(LOAD, slices=(LoadSlice(sent=50), LoadSlice(sent=50, failed=50)))
    picture = load_chart.draw(refused, conforms=True)
    assert bars(picture, "unserved")
    assert not bars(picture, "wrong")
    assert "losses" not in picture
    assert load_chart.summary(refused, conforms=True) == "100 requests in 2 s, 50 not served"


def test_a_time_without_requests_has_no_slowest_answer() -> None:
    pause = (LoadSlice(sent=1, slowest=0.2), LoadSlice(sent=0), LoadSlice(sent=1, slowest=0.2))
    picture = parsed(load_chart.draw(msgspec.structs.replace(LOAD, slices=pause)))
    lines = [one for one in picture.iter("line") if one.get("class") == "slowest"]
    assert {one.get(side) for one in lines for side in ("y1", "y2")} == {lines[0].get("y1")}


def test_a_load_shows_rotations_and_certificates() -> None:
    dots = {one.get("class"): one.get("cx") for one in parsed(load_chart.draw(LOAD)).iter("circle")}
    assert dots == {"rotation": "16.67%", "certificate": "50.00%"}


@pytest.mark.parametrize("kinds", [(), *((kind,) for kind in MarkKind), tuple(MarkKind)])
def test_the_legend_of_a_load_names_the_kinds_of_its_dots_alone(kinds: tuple[MarkKind, ...]) -> None:
    marks = tuple(Mark(1.0, kind, "what") for kind in kinds)
    picture = parsed(load_chart.draw(msgspec.structs.replace(LOAD, marks=marks)))
    assert [one.get("class") for one in picture.iter("tspan")] == list(kinds)
    assert {one.get("class") for one in picture.iter("circle")} == set(kinds)
    texts = ["".join(one.itertext()) for one in picture.iter("text")]
    assert {kind for kind, words in load_chart.LEGEND.items() if any(words in text for text in texts)} == set(kinds)


@pytest.mark.parametrize("kind", MarkKind)
def test_the_dot_of_every_kind_has_a_colour(kind: MarkKind, make_report: Callable[..., Any]) -> None:
    assert f".picture .{kind} {{ fill:" in html.render(make_report())


def test_a_load_without_losses_says_so() -> None:
    assert "losses: none" in load_chart.draw(LoadLine(name="x", step=0.1, slices=(LoadSlice(sent=1),)))


def test_every_policy_of_a_run_is_a_dot(make_result: Callable[..., Result]) -> None:
    histories = [History(policies={"Retry": (0.01, 0.1)}), History(policies={"Retry": (1.0,), "MutualTls": (0.02,)})]
    found = seconds_chart.to_effect([make_result("a/b", Verdict.CONFORMS, "r", history=one) for one in histories])
    assert found == {"Retry": [0.01, 0.1, 1.0], "MutualTls": [0.02]}
    picture = seconds_chart.draw(found, "From policy to effect")
    assert [one.get("cx") for one in parsed(picture).iter("circle")] == ["0.00%", "50.00%", "100.00%", "15.05%"]
    assert "Retry (3): median 100 ms, max 1.0 s" in picture


def test_a_distribution_is_drawn_in_the_card_of_its_check(
    make_report: Callable[..., Any], make_result: Callable[..., Result]
) -> None:
    history = History(distributions={"pause before retry 1": (0.025, 0.05, 0.1)})
    page = html.render(make_report(make_result("retry/backoff", Verdict.CONFORMS, "r", history=history)))
    assert "pause before retry 1 (3): median 50 ms, max 100 ms" in page


def test_a_step_without_a_policy_is_no_row(make_result: Callable[..., Result]) -> None:
    history = History(policies={"Timeout": (0.01,), "": (0.0002,)})
    assert seconds_chart.to_effect([make_result("a/b", Verdict.CONFORMS, "r", history=history)]) == {"Timeout": [0.01]}


def test_results_without_a_history_have_no_effects(make_result: Callable[..., Result]) -> None:
    assert seconds_chart.to_effect([make_result("a/b", Verdict.CONFORMS, "r")]) == {}


@pytest.mark.parametrize("last", [0.0, 0.001, 0.25, 1.0, 15.5, 119.0])
def test_ticks_are_few_and_inside(last: float) -> None:
    found = svg.ticks(last)
    assert found[0] == 0
    assert found[-1] <= last + 1e-9
    assert len(found) <= 6


def written(picture: str) -> list[tuple[float, str]]:
    """The lines of labels at the left edge, with their baselines."""
    found = [one for one in parsed(picture).iter("text") if one.get("x") == "0.00%" and one.get("class") is None]
    return [(float(one.get("y", "")), one.text or "") for one in found]


def test_a_label_is_as_wide_as_a_phone_and_above_its_dots() -> None:
    kinds = "MutualTls, NetworkPolicy, RequestsPerConnection, Retry, Timeout"
    picture = seconds_chart.draw({kinds: [0.01, 0.1], "Retry": [0.01]}, "From policy to effect")
    lines = written(picture)
    assert " ".join(line for _, line in lines) == f"{kinds} (2): median 55 ms, max 100 ms Retry (1): 10 ms"
    assert max(len(line) for _, line in lines) <= svg.WIDTH
    assert all(line.endswith((",", ":", " ms")) for _, line in lines), "a figure stays with its unit"
    heights = [*(y for y, _ in lines), *(float(one.get("cy", "")) for one in parsed(picture).iter("circle"))]
    first, second, retry, *dots = heights
    assert first < second < dots[0] == dots[1] < retry < dots[2]


def test_the_label_of_an_attempt_is_as_wide_as_a_phone_and_above_its_bar() -> None:
    picture = timeline.draw(request(CUT, msgspec.structs.replace(SLOW, server="green/server-with-a-long-name")))
    lines = written(picture)
    assert max(len(line) for _, line in lines) <= svg.WIDTH
    assert lines[-1][0] < max(float(one.get("y", "")) for one in parsed(picture).iter("rect"))


def test_a_check_that_did_not_run_took_no_time(
    make_report: Callable[..., Any], make_result: Callable[..., Result]
) -> None:
    page = html.render(make_report(make_result("a/b", Verdict.NOT_RUN, "r", seconds=0.0)))
    assert '<td class="number soft"></td>' in page


def test_text_in_pictures_is_escaped(hostile: str) -> None:
    assert "<script" not in timeline.draw(request(client=hostile))
    marks = (Mark(1.0, MarkKind.RESTART, hostile),)
    assert "<script" not in load_chart.draw(msgspec.structs.replace(LOAD, marks=marks))


def test_the_page_has_the_pictures(make_report: Callable[..., Any], make_result: Callable[..., Result]) -> None:
    history = History(request=request(CUT), policies={"Retry": (0.01,)}, loads=(LOAD,))
    page = html.render(make_report(make_result("a/b", Verdict.VIOLATES, "r", history=history)))
    assert len(re.findall(r"<svg\b", page)) == 3
    assert "Under load" not in page, "the load of a violation is on its card"
    assert "From policy to effect" in page


def test_the_load_of_a_check_that_conforms_has_its_place(
    make_report: Callable[..., Any], make_result: Callable[..., Result]
) -> None:
    page = html.render(make_report(make_result("a/b", Verdict.CONFORMS, "r", history=History(loads=(LOAD,)))))
    assert "Under load" in page
    assert len(re.findall(r"<svg\b", page)) == 1
