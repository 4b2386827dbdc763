from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.aliases import Alias
from pytest_meshcheck.checks.history import History
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report import views
from pytest_meshcheck.report.baseline import BaselineUnreadable, compare, load_baseline, old_ids, summary
from pytest_meshcheck.report.formats import html, markdown
from pytest_meshcheck.report.formats.badge import badge
from pytest_meshcheck.report.formats.description import Block, blocks
from pytest_meshcheck.report.formats.terminal import lines
from pytest_meshcheck.report.formats.verdicts import LOOKS
from pytest_meshcheck.report.model import Change, Observed, Report, encode

MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]


@pytest.mark.parametrize(
    ("verdicts", "message", "color"),
    [
        ((Verdict.CONFORMS, Verdict.CONFORMS), "2/2 conform", "brightgreen"),
        ((Verdict.CONFORMS, Verdict.UNSUPPORTED), "1/1 conform, partial", "brightgreen"),
        ((Verdict.CONFORMS, Verdict.VIOLATES), "1 violates", "red"),
        ((Verdict.CONFORMS, Verdict.KNOWN_VIOLATION), "1/2 conform", "yellow"),
        ((Verdict.CONFORMS, Verdict.INCONCLUSIVE), "1 of 2 not conclusive", "orange"),
        ((Verdict.VIOLATES, Verdict.NOT_RUN), "1 of 2 not conclusive, 1 violates", "red"),
        ((Verdict.INCONCLUSIVE,), "1 of 1 not conclusive", "lightgrey"),
        ((Verdict.FIXED,), "1/1 conform, 1 fixed", "orange"),
        ((Verdict.UNSUPPORTED,), "nothing conclusive, partial", "lightgrey"),
        ((), "nothing conclusive", "lightgrey"),
    ],
)
def test_the_badge_tells_the_outcome(
    verdicts: tuple[Verdict, ...], message: str, color: str, make_report: MakeReport, make_result: MakeResult
) -> None:
    made = badge(make_report(*(make_result(f"a/{n}", verdict, "r") for n, verdict in enumerate(verdicts))))
    assert (made.message, made.color) == (message, color)


def test_an_interrupted_run_has_no_green_badge(make_report: MakeReport, make_result: MakeResult) -> None:
    made = badge(make_report(make_result("a/b", Verdict.CONFORMS, "r"), complete=False))
    assert (made.message, made.color) == ("interrupted, 1 conclusive", "orange")


def test_the_badge_is_an_endpoint_of_shields(sample: Report) -> None:
    assert msgspec.to_builtins(badge(sample)) == {
        "schemaVersion": 1,
        "label": "meshcheck",
        "message": "2 of 9 not conclusive (1 x the probe of blue/server is gone: exit…), 1 violates, partial",
        "color": "red",
    }


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (Verdict.CONFORMS, Verdict.VIOLATES, Change.WORSE),
        (Verdict.CONFORMS, Verdict.UNSUPPORTED, Change.WORSE),
        (Verdict.UNSUPPORTED, Verdict.VIOLATES, Change.WORSE),
        (Verdict.VIOLATES, Verdict.UNSUPPORTED, Change.BETTER),
        (Verdict.KNOWN_VIOLATION, Verdict.FIXED, Change.BETTER),
        (Verdict.VIOLATES, Verdict.KNOWN_VIOLATION, Change.SAME),
        (Verdict.CONFORMS, Verdict.FIXED, Change.SAME),
        (Verdict.CONFORMS, Verdict.INCONCLUSIVE, Change.UNKNOWN),
        (Verdict.NOT_RUN, Verdict.VIOLATES, Change.UNKNOWN),
        (None, Verdict.VIOLATES, Change.NEW),
        (Verdict.VIOLATES, None, Change.GONE),
    ],
)
def test_a_check_is_compared_with_the_baseline(
    before: Verdict | None, now: Verdict | None, change: Change, make_report: MakeReport, make_result: MakeResult
) -> None:
    reports = [make_report(*([make_result("a/b", verdict, "r")] if verdict else [])) for verdict in (before, now)]
    (item,) = compare(*reports).changes
    assert (item.id, item.before, item.now, item.change) == ("a/b", before, now, change)


ALIASES = {"a/old": Alias("a/old", ("a/x", "a/y"), "2.0")}


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (
            {"a/x": Verdict.CONFORMS, "a/y": Verdict.VIOLATES, "a/z": Verdict.CONFORMS},
            {"a/x": Change.SAME, "a/y": Change.WORSE, "a/z": Change.NEW},
        ),
        (
            {"a/x[1]": Verdict.CONFORMS, "a/y": Verdict.UNSUPPORTED},
            {"a/x[1]": Change.SAME, "a/y": Change.NEW},
        ),
        ({"a/y": Verdict.UNSUPPORTED}, {"a/y": Change.WORSE}),
        ({"a/z": Verdict.CONFORMS}, {"a/z": Change.NEW, "a/old": Change.GONE}),
    ],
)
def test_an_old_id_of_the_baseline_is_compared_with_what_replaces_it(
    now: dict[str, Verdict], changes: dict[str, Change], make_report: MakeReport, make_result: MakeResult
) -> None:
    before = make_report(make_result("a/old", Verdict.CONFORMS, "r"))
    report = make_report(*(make_result(name, verdict, "r") for name, verdict in now.items()))
    assert {one.id: one.change for one in compare(before, report, ALIASES).changes} == changes
    assert old_ids(before, ALIASES) == [ALIASES["a/old"]]


def test_a_check_of_the_baseline_that_has_got_parameters_is_compared_with_each_of_them(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    before = make_report(make_result("a/b", Verdict.CONFORMS, "r"))
    report = make_report(
        *(make_result(f"a/b[{one}]", verdict, "r") for one, verdict in enumerate((Verdict.CONFORMS, Verdict.VIOLATES)))
    )
    changes = {one.id: one.change for one in compare(before, report).changes}
    assert changes == {"a/b[0]": Change.SAME, "a/b[1]": Change.WORSE}


def test_the_comparison_has_a_summary_line(sample: Report) -> None:
    assert sample.baseline
    assert summary(sample.baseline) == "against envoy 1.36.2: 1 worse, 1 better, 1 same, 8 new, 1 gone"


def test_a_baseline_is_read_from_its_file_or_its_directory(sample: Report, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(encode(sample))
    assert load_baseline(tmp_path / "report.json") == load_baseline(tmp_path) == sample


def test_a_baseline_that_cannot_be_read_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(
        BaselineUnreadable, match=r"none\.json: No such file .* Give the report\.json of an earlier run"
    ):
        load_baseline(tmp_path / "none.json")


def texts(report: Report, path: Path | None = Path("out/report.html")) -> str:
    return "\n".join(text for text, _ in lines(report, path))


def test_the_terminal_groups_by_family(sample: Report) -> None:
    assert "mtls        3 conform    1 violates    0 inconclusive    0 unsupported" in texts(sample)
    assert "1 unsupported (ca-outage)" in texts(sample)


def test_capabilities_are_left_out_where_no_check_can_prove_one(
    sample: Report, make_report: MakeReport, make_result: MakeResult
) -> None:
    rows = tuple(msgspec.structs.replace(row, observed=Observed.NOT_OBSERVED) for row in sample.capabilities)
    run = make_report(make_result("own/access", Verdict.CONFORMS, "r"))
    about_manifests = msgspec.structs.replace(run, capabilities=rows)
    for render in (html.render, markdown.render):
        assert "strict-mtls" in render(sample)
        assert "strict-mtls" not in render(about_manifests)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Verdict.CONFORMS, "This configuration of envoy 1.40.0 conforms in all 1 conclusive check."),
        (Verdict.VIOLATES, "This configuration of envoy 1.40.0 violates 1 of 1 conclusive check."),
        (Verdict.UNSUPPORTED, "Nothing is known about this configuration of envoy 1.40.0: no check was conclusive."),
    ],
)
def test_the_headline_of_a_trial_is_about_the_configuration(
    verdict: Verdict, said: str, make_report: MakeReport, make_result: MakeResult
) -> None:
    assert views.headline(make_report(make_result("own/post-is-executed-at-most-once", verdict, "r"))) == said


def test_facts_and_what_was_not_asked_for_are_no_part_of_what_conforms(
    make_report: MakeReport, make_result: MakeResult
) -> None:
    results = [
        make_result("a/judged", Verdict.CONFORMS, "r"),
        make_result("a/fact", Verdict.CONFORMS, "r", level=Level.MAY),
        make_result("a/slow", Verdict.NOT_RUN, "r", slow=True),
        make_result("a/cut-off", Verdict.NOT_RUN, "r"),
    ]
    row = "a    1 conform    0 violates    0 inconclusive    0 unsupported"
    report = msgspec.structs.replace(make_report(*results), level=Level.MAY)
    assert f"{row}    1 not run    1 recorded    1 not asked for\n" in texts(report)


def test_the_terminal_tells_all_of_a_violation(sample: Report) -> None:
    text = texts(sample)
    for expected in (
        "VIOLATES  mtls/expired-certificate-is-refused  MUST mtls.lifetime",
        "requirement  A peer whose certificate is expired MUST be refused.",
        "expected     the handshake is refused: the certificate expired 40 s ago",
        "actual       200 over TLSv1.3",
        "evidence     out/mtls/expired-certificate-is-refused/",
        "reproduce    pytest --mesh=envoy@1.40.0 -k 'mtls/expired-certificate-is-refused'",
    ):
        assert expected in text


def test_the_terminal_tells_what_else_needs_attention(sample: Report) -> None:
    text = texts(sample)
    assert "FIXED  timeout/covers-all-attempts" in text
    assert "INCONCLUSIVE  rotation/root-is-replaced" in text
    assert "CLAIM CONTRADICTED  strict-mtls: mtls/expired-certificate-is-refused" in text
    assert "WORSE   mtls/expired-certificate-is-refused: conforms -> violates" in text
    assert text.endswith("report: out/report.html")


def test_the_terminal_names_no_report_that_is_not_there(sample: Report) -> None:
    assert "report:" not in texts(sample, None)


def test_the_terminal_marks_a_violating_family_red(sample: Report) -> None:
    assert next(markup for text, markup in lines(sample, None) if text.startswith("mtls ")) == {"red": True}


@pytest.mark.parametrize("verdict", Verdict)
def test_markdown_has_every_verdict(verdict: Verdict, sample: Report) -> None:
    assert f"{LOOKS[verdict].symbol} {verdict} |" in markdown.render(sample)


def test_a_violation_quotes_its_source_in_markdown(sample: Report) -> None:
    quotation = "\n> It includes the time. — [RFC 5280 6.1.3](https://www.rfc-editor.org/rfc/rfc5280#section-6.1.3)\n\n"
    assert quotation in markdown.render(sample)


def test_markdown_escapes_outside_of_code(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    report = make_report(make_result("a/b", Verdict.INCONCLUSIVE, "r", reason=hostile), platform=hostile)
    text = markdown.render(report)
    assert "<script>" not in text.replace("\\<", "")
    assert "\\*\\*bold\\*\\*" in text


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("a`b", "``a`b``"),
        ("`a`", "`` `a` ``"),
        ("a|b", r"`a\|b`"),
        ("a\n b", "`a b`"),
        ("<b>", "`<b>`"),
        ("a\0b", r"`a\x00b`"),
        ("", ""),
    ],
)
def test_code_shows_any_text(text: str, rendered: str) -> None:
    assert markdown.code(text) == rendered


def test_only_a_web_address_becomes_a_link() -> None:
    assert markdown.link("a", "https://a.example/(b)") == "[a](https://a.example/%28b%29)"
    assert markdown.link("a", "javascript:alert(1)") == "a javascript:alert(1)"


def test_a_description_is_paragraphs_and_quotations() -> None:
    docstring = """First line.

        Second
        paragraph.

        > Quoted
        > sentence.
        >
        > Another.
        """
    assert list(blocks(docstring)) == [
        Block("First line."),
        Block("Second paragraph."),
        Block("Quoted sentence.", quoted=True),
        Block("Another.", quoted=True),
    ]


def test_no_check_waits_for_longer_than_it_takes(make_report: MakeReport, make_result: MakeResult) -> None:
    made_ahead = make_result("a/b", Verdict.CONFORMS, "r", seconds=0.5, history=History(spent={"traffic": 15.5}))
    other = make_result("a/c", Verdict.CONFORMS, "r", seconds=2.0, history=History(spent={"traffic": 1.0}))
    assert views.waits(make_report(made_ahead, other)) == {"traffic": 1.5, "other": 1.0}


@pytest.mark.parametrize("render", [markdown.render, html.render])
def test_who_reaches_what_is_a_table(
    render: Callable[[Report], str], make_report: MakeReport, make_result: MakeResult
) -> None:
    entry = Access(destination="shop/a:80", caller="outsider", enrolled=False, outcome=Outcome.SERVED, arrived=True)
    measured = make_result("own/access[shop/a:80]", Verdict.CONFORMS, "own.access", access=(entry,))
    page = render(make_report(measured))
    for shown in ("Access matrix", "shop/a:80", "outsider", "served", "plaintext", "these workloads was not run"):
        assert shown in page
    assert "Access matrix" not in render(make_report(make_result("mtls/a", Verdict.CONFORMS, "own.access")))
