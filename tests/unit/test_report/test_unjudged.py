"""A run with something unknown never has a headline that sounds as if all were well."""

import json
from collections.abc import Callable

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report import matrix, unjudged, views
from pytest_meshcheck.report.anonymise import without_machine
from pytest_meshcheck.report.formats import html, markdown
from pytest_meshcheck.report.formats.badge import badge
from pytest_meshcheck.report.formats.terminal import lines
from pytest_meshcheck.report.model import Report, encode

MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]

PENDING = (
    "pod blue-7f3a2c/{name}-6d5f on no node: phase Pending; PodScheduled is False: Unschedulable "
    "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available"
)


@pytest.fixture
def starved(make_report: MakeReport, make_result: MakeResult) -> Report:
    """A node too small for 45 of 107 checks."""
    unknown = [
        make_result(
            f"retry/tries[{n}]" if n else "mtls/strict", Verdict.INCONCLUSIVE, "r", reason=PENDING.format(name=n)
        )
        for n in range(45)
    ]
    good = [make_result(f"retry/limit[{n}]", Verdict.CONFORMS, "r") for n in range(62)]
    return views.summarised(make_report(*unknown, *good))


def rendered(report: Report) -> dict[str, str]:
    """Everything that is read of a report, by what reads it."""
    side_by_side = matrix.merge([report])
    return {
        "terminal": "\n".join(text for text, _ in lines(report, None)),
        "markdown": markdown.render(report),
        "page": html.render(report),
        "badge": badge(report).message,
        "json": encode(report).decode(),
        "matrix": "\n".join(matrix.markdown_lines(side_by_side)),
        "matrix page": matrix.to_html(side_by_side).decode(),
    }


def test_the_headline_says_first_what_could_not_be_judged(starved: Report) -> None:
    assert views.headline(starved) == (
        '45 of 107 checks were not conclusive: 45 inconclusive (45 x "Insufficient cpu"). '
        "No violation of envoy 1.40.0 in 62 conclusive checks."
    )
    assert views.score(starved).sentence == "62 of 107 conclusive"


@pytest.mark.parametrize("reader", ["terminal", "markdown", "page", "badge", "json", "matrix", "matrix page"])
def test_every_reader_says_how_much_is_unknown_and_why(starved: Report, reader: str) -> None:
    text = rendered(starved)[reader]
    assert "45" in text
    assert "Insufficient cpu" in text
    assert "conforms in all" not in text
    assert "62/62" not in text


def test_the_headline_of_the_page_leaves_the_causes_to_a_line_below(starved: Report) -> None:
    headline = html.render(starved).partition('<p class="headline">')[2].partition("</p>")[0]
    assert headline == "45 of 107 checks were not conclusive. No violation of envoy 1.40.0 in 62 conclusive checks."


def test_the_terminal_ends_with_what_could_not_be_judged(starved: Report) -> None:
    (verdict,) = [line for line in lines(starved, None) if "score:" in line[0]]
    assert verdict == (f"{views.headline(starved)} score: 62 of 107 conclusive.", {"bold": True, "yellow": True})


def test_one_reason_is_told_once(starved: Report) -> None:
    for reader in ("terminal", "markdown"):
        text = rendered(starved)[reader]
        assert text.count("PodScheduled is False") == 1, reader
        assert "mtls/strict, retry/tries (44)" in text, reader
    articles = rendered(starved)["page"].partition('<section id="inconclusive">')[2].partition("</section>")[0]
    assert articles.count("<article") == 1
    assert articles.count("finding:retry/tries") == 44


def test_the_summary_of_the_json_lists_causes_and_checks(starved: Report) -> None:
    summary = json.loads(encode(starved))["summary"]
    assert summary["headline"] == views.headline(starved)
    (cause,) = summary["unjudged"]
    assert (cause["cause"], cause["verdict"], len(cause["checks"])) == ("Insufficient cpu", "inconclusive", 45)


def test_a_published_summary_has_no_path(make_report: MakeReport, make_result: MakeResult) -> None:
    result = make_result("a/b", Verdict.INCONCLUSIVE, "r", reason="cannot read /home/jane/secret/place")
    published = without_machine(views.summarised(make_report(result)))
    assert "jane" not in encode(published).decode()
    assert "cannot read place" in views.headline(published)


@pytest.mark.parametrize(
    ("verdicts", "more", "headline"),
    [
        (
            (Verdict.CONFORMS, Verdict.NOT_RUN),
            {},
            "1 of 2 checks was not conclusive: 1 not run. No violation of envoy 1.40.0 in 1 conclusive check.",
        ),
        (
            (Verdict.CONFORMS,),
            {"complete": False},
            "The run was interrupted. No violation of envoy 1.40.0 in 1 conclusive check.",
        ),
        (
            (Verdict.KNOWN_VIOLATION, Verdict.VIOLATES, Verdict.NOT_RUN),
            {},
            "1 of 3 checks was not conclusive: 1 not run. "
            "envoy 1.40.0 violates 2 of 2 conclusive checks, 1 of them known.",
        ),
        ((Verdict.CONFORMS, Verdict.UNSUPPORTED), {}, "envoy 1.40.0 conforms in all 1 conclusive check."),
    ],
)
def test_a_run_conforms_only_where_nothing_is_unknown(
    verdicts: tuple[Verdict, ...],
    more: dict[str, object],
    headline: str,
    make_report: MakeReport,
    make_result: MakeResult,
) -> None:
    results = (make_result(f"a/{n}", verdict, "r") for n, verdict in enumerate(verdicts))
    assert views.headline(make_report(*results, **more)) == headline


def test_a_check_below_the_level_was_not_asked_for(make_report: MakeReport, make_result: MakeResult) -> None:
    results = (
        make_result("a/b", Verdict.CONFORMS, "r"),
        make_result("a/c", Verdict.NOT_RUN, "r", level=Level.SHOULD),
    )
    assert views.is_whole(make_report(*results, level=Level.MUST))
    assert not views.is_whole(make_report(*results, level=Level.SHOULD))


@pytest.mark.parametrize(
    ("reasons", "causes"),
    [
        (["no control plane after 60.1 s", "no control plane after 59.8 s"], ["no control plane after … s"]),
        (["blue/server is gone", "green/client is gone"], ["… is gone"]),
        (["blue/server is gone\nlog", "blue/server is gone\nlog"], ["blue/server is gone"]),
        (["expected 200, but 503", "expected 200, but 404"], ["expected 200, but 503", "expected 200, but 404"]),
        (["10.244.0.7:8080 is silent", "10.244.0.9:8080 is silent"], ["… is silent"]),
    ],
    ids=["durations", "names", "first-line", "figures", "addresses"],
)
def test_reasons_are_one_where_only_the_place_differs(
    reasons: list[str], causes: list[str], make_result: MakeResult
) -> None:
    results = [make_result(f"a/{n}", Verdict.INCONCLUSIVE, "r", reason=reason) for n, reason in enumerate(reasons)]
    assert [group.cause for group in unjudged.grouped(results)] == causes


def test_the_commonest_causes_come_first_and_the_rest_is_counted(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    reasons = ["one", "two", "two", "three", "three", "three", "four"]
    results = [make_result(f"a/{n}", Verdict.INCONCLUSIVE, "r", reason=reason) for n, reason in enumerate(reasons)]
    assert unjudged.breakdown(make_report(*results)) == '7 inconclusive (3 x "three", 2 x "two", 2 x other)'


@pytest.mark.parametrize("reader", ["terminal", "markdown", "page"])
def test_what_a_run_does_not_look_at_is_said(starved: Report, reader: str) -> None:
    assert "the configuration of other namespaces was not examined" in rendered(starved)[reader]


@pytest.mark.parametrize("reader", ["terminal", "markdown", "page", "json", "matrix page"])
def test_what_stood_in_for_a_part_of_the_mesh_is_said(make_report: MakeReport, reader: str) -> None:
    assert "another build of its proxy" in rendered(make_report(stand_ins=("another build of its proxy",)))[reader]
    assert "tand-in" not in rendered(make_report())[reader]


@pytest.mark.parametrize("reader", ["terminal", "markdown", "page", "json"])
def test_the_longest_standstill_of_each_kind_of_process_is_said(make_report: MakeReport, reader: str) -> None:
    stood = make_report(pulse={"pytest": 2.4, "sidecars": 7.3})
    lines_of_it = rendered(stood)[reader].splitlines()
    for kind, seconds in (("pytest", "2.4"), ("sidecars", "7.3")):
        assert any(kind in line and seconds in line for line in lines_of_it), kind


def test_what_a_run_did_not_ask_for_is_counted_for_itself(make_report: MakeReport, make_result: MakeResult) -> None:
    slow = msgspec.structs.replace(make_result("a/slow", Verdict.NOT_RUN, "r"), slow=True)
    report = make_report(make_result("a/left", Verdict.NOT_RUN, "r"), slow)
    assert views.beside(report) == ["1 not run", "1 not asked for"]
    assert [result.id for result in unjudged.unjudged(report)] == ["a/left"]
