"""What changed in recorded tables since a baseline, as a reviewer reads it."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.effective_values import EffectiveValues
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report import recorded
from pytest_meshcheck.report.baseline import compare, summary
from pytest_meshcheck.report.formats import html, markdown
from pytest_meshcheck.report.formats.terminal import lines
from pytest_meshcheck.report.model import RecordedChange, Report
from pytest_meshcheck.report.recorded import Entry, RecordedTable, compare_tables, merged

CALLERS = ("web", "cart", "outsider")
SERVED, REFUSED = Outcome.SERVED, Outcome.REFUSED


def checked(name: str, verdict: Verdict = Verdict.CONFORMS, **fields: Any) -> Result:
    given = {"level": Level.MUST, "requirement": "own.rule", "description": "It does.", "seconds": 1.0}
    return Result(**{"id": name, "verdict": verdict, **given, **fields})


def access(port: str, verdict: Verdict = Verdict.CONFORMS, **outcomes: Outcome) -> Result:
    """The part of the matrix about one port, by caller; the outsider sends plaintext."""
    entries = tuple(
        Access(
            destination=port,
            caller=caller,
            enrolled=caller != "outsider",
            outcome=outcome,
            form="" if outcome is SERVED else "status 403",
            arrived=outcome is SERVED,
        )
        for caller, outcome in outcomes.items()
    )
    return checked(f"own/access[{port}]", verdict, access=entries or msgspec.UNSET)


CLOSED = [access(port, web=SERVED, cart=REFUSED, outsider=REFUSED) for port in ("shop/a:80", "shop/b:80")]

CASES: dict[str, tuple[list[Result], list[Result], list[tuple[str, ...]]]] = {
    # case: before, now, what changed: row, column, before, now
    "nothing": (CLOSED, CLOSED, []),
    "opened": (
        CLOSED,
        [access("shop/a:80", web=SERVED, cart=REFUSED, outsider=SERVED), CLOSED[1]],
        [("shop/a:80", "outsider", "refused (status 403)", "served, in plaintext")],
    ),
    "new-caller": (
        [access("shop/a:80", web=SERVED)],
        [access("shop/a:80", web=SERVED, cart=SERVED)],
        [("shop/a:80", "cart", "(new)", "served")],
    ),
    "port-removed": (
        CLOSED,
        CLOSED[:1],
        [
            ("shop/b:80", who, *was)
            for who, *was in (
                ("web", "served", "(gone)"),
                ("cart", "refused (status 403)", "(gone)"),
                ("outsider", "refused (status 403)", "(gone)"),
            )
        ],
    ),
    "inconclusive": (
        [access("shop/a:80", web=SERVED)],
        [access("shop/a:80", Verdict.INCONCLUSIVE)],
        [("shop/a:80", "web", "served", "not known")],
    ),
    "known-again": (
        [access("shop/a:80", Verdict.NOT_RUN)],
        [access("shop/a:80", web=SERVED)],
        [("shop/a:80", "web", "not known", "served")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_changed_of_the_matrix(case: str) -> None:
    before, now, expected = CASES[case]
    (table,) = compare_tables(before, now)
    assert [(one.row, one.column, one.before, one.now) for one in table.changes] == expected


def test_reports_without_a_table_are_compared_without_one() -> None:
    assert compare_tables([checked("own/x")], [checked("own/x")]) == ()


def test_what_changes_alike_is_one_line() -> None:
    changes = [
        RecordedChange(row=row, column=column, before="served", now="refused")
        for row in ("a:80", "b:80")
        for column in ("web", "cart")
    ]
    changes.append(RecordedChange(row="c:80", column="web", before="served", now="refused"))
    assert [(one.rows, one.columns) for one in merged(changes)] == [
        (("a:80", "b:80"), ("web", "cart")),
        (("c:80",), ("web",)),
    ]


def _measured(result: Result) -> Iterator[Entry]:
    for name, value in result.measured.items():
        yield result.id, name, str(value)


def test_a_further_table_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "TABLES", (*recorded.TABLES, RecordedTable("Limits", "Check", "Limit", _measured)))
    before, now = checked("own/limit", measured={"limit of web": 2}), checked("own/limit", measured={"limit of web": 3})
    (table,) = compare_tables([before], [now])
    assert (table.name, table.row, table.column, table.entries) == ("Limits", "Check", "Limit", 1)
    assert [(one.column, one.before, one.now) for one in table.changes] == [("limit of web", "2", "3")]


@pytest.fixture
def changed(make_report: Callable[..., Report]) -> Report:
    """A port that was opened to 12 callers, a check that is worse, one that is better, and a new one that violates."""
    many = {f"caller-{number}": REFUSED for number in range(12)}
    names = ("own/post[a]", "own/limit[a]", "own/same")
    before = make_report(
        access("shop/a:80", **many),
        *map(checked, names[::2]),
        checked(names[1], Verdict.VIOLATES, expected="2 s", actual="it is 9"),
    )
    worse = {"expected": "at most 1", "actual": "it is 3 | <b>"}
    now = make_report(
        access("shop/a:80", **dict.fromkeys(many, SERVED)),
        checked("own/post[a]", Verdict.VIOLATES, **worse),
        checked("own/post[b]", Verdict.VIOLATES, **worse),
        *map(checked, names[1:]),
    )
    return msgspec.structs.replace(now, baseline=compare(before, now))


def test_the_summary_says_how_much_changed(changed: Report) -> None:
    assert changed.baseline
    said = "against envoy 1.40.0: 1 worse, 1 better, 2 same, 1 new; Access matrix: 12 of 12 changed"
    assert summary(changed.baseline) == said


def test_a_reviewer_reads_what_changed_and_nothing_else(changed: Report) -> None:
    assert changed.baseline
    text = markdown.changes(changed, changed.baseline)
    callers = ", ".join(f"`caller-{number}`" for number in range(8))
    assert text.splitlines()[4:] == [
        "### Access matrix",
        "",
        "| Service | Caller | Before | Now |",
        "| --- | --- | --- | --- |",
        f"| `shop/a:80` | {callers} and 4 more | refused (status 403) | served |",
        "",
        "### Checks",
        "",
        "|  | Check | Before | Now |",
        "| --- | --- | --- | --- |",
        "| worse | `own/post[a]` | conforms | violates |",
        "| new | `own/post[b]` |  | violates |",
        "| better | `own/limit[a]` | violates | conforms |",
        "",
        r"- `own/post[a]`: expected at most 1, but it is 3 \| \<b\>",
        r"- `own/post[b]`: expected at most 1, but it is 3 \| \<b\>",
        "",
        "_Baseline: run of 2026-03-01 14:05 UTC_",
    ]


def test_the_same_is_in_the_report_for_the_job_summary(changed: Report) -> None:
    assert changed.baseline
    text = markdown.render(changed)
    section = markdown.changes(changed, changed.baseline).partition("\n\n")[2].partition("_Baseline")[0]
    assert f"## Baseline\n\n{section}" in text
    assert text.index("## Baseline") < text.index("\n## Access matrix")


def test_the_page_and_the_terminal_say_it_too(changed: Report) -> None:
    page = html.render(changed)
    section = page[page.index('<section id="baseline">') :]
    assert "<code>caller-11</code>" in section[: section.index("</section>")]
    assert "it is 3 | <b>" not in page
    said = [text for text, _ in lines(changed, None)]
    callers = ", ".join(f"caller-{number}" for number in range(8))
    assert f"  CHANGED shop/a:80 for {callers} and 4 more: refused (status 403) -> served" in said


def effects(limit: float, attempts: int = 3, run: str = "05b967", idle: float = 0.0) -> list[Result]:
    """What the configuration of a port comes to for two callers, of which one has an identity."""
    values = EffectiveValues(
        destination="shop/a:80",
        callers=("web", "cart"),
        limits={"GET": limit},
        patience=16.0,
        attempts={"GET": {"503": attempts}},
        idle=idle,
        identities=(f"spiffe://mesh/ns/own-{run}/sa/web", ""),
    )
    return [checked("own/effective-values[shop/a:80]", effective=(values,))]


def test_effective_values_are_compared_and_a_measured_limit_varies_a_little() -> None:
    (same,) = compare_tables(effects(2.0), effects(2.1, run="64c8a8"))
    assert (same.entries, same.changes) == (2, ())
    (changed,) = compare_tables(effects(2.0), effects(4.0, attempts=1))
    assert [(one.column, one.before, one.now) for one in changed.changes] == [
        (caller, f"timeout 2 s, attempts 3, identity {identity}", f"timeout 4 s, attempts 1, identity {identity}")
        for caller, identity in (("web", "spiffe://mesh/ns/own-…/sa/web"), ("cart", "none"))
    ]


def test_an_idle_limit_that_is_new_is_a_change() -> None:
    (changed,) = compare_tables(effects(2.0), effects(2.0, idle=4.0))
    assert [one.now for one in changed.changes][1] == "timeout 2 s, attempts 3, idle up to 4 s, identity none"
