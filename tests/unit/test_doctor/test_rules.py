"""Each rule on small clusters: what it finds, and what it leaves alone; ``cases/`` has a file per rule."""

from collections import Counter

import pytest

from pytest_meshcheck.doctor.finding import Finding, Severity, is_wanting
from pytest_meshcheck.doctor.registry import RULES, examine
from tests.unit.test_doctor.snapshots import Case, cases

CASES = cases()
NEVER_SILENT = {"installation.installed"}
"""The rule that always says what there is."""


def found_by(rule: str, case: Case) -> list[Finding]:
    return [one for one in examine(case.snapshot()) if one.rule == rule]


@pytest.mark.parametrize("case", [one for one in CASES if one.expect], ids=str)
def test_it_finds(case: Case) -> None:
    found = found_by(case.rule, case)
    assert len(found) == len(case.expect), found
    for wanted in case.expect:
        assert any(all(text in getattr(one, key) for key, text in wanted.items()) for one in found), (wanted, found)


@pytest.mark.parametrize("case", [one for one in CASES if not one.expect], ids=str)
def test_it_is_silent(case: Case) -> None:
    assert found_by(case.rule, case) == []


def test_every_rule_has_both_cases() -> None:
    assert sorted({one.rule for one in CASES}) == sorted(rule.id for rule in RULES)
    positive = {one.rule for one in CASES if one.expect}
    negative = {one.rule for one in CASES if not one.expect}
    assert positive == {rule.id for rule in RULES}
    assert negative == positive - NEVER_SILENT
    assert not [one for one in CASES if one.name.startswith("finds") != bool(one.expect)]


def test_each_rule_has_one_function_and_one_id() -> None:
    assert max(Counter(rule.id for rule in RULES).values()) == 1
    assert max(Counter(rule.find for rule in RULES).values()) == 1


@pytest.mark.parametrize("case", [one for one in CASES if one.expect], ids=str)
def test_each_finding_says_what_to_do_and_why_it_matters(case: Case) -> None:
    for one in found_by(case.rule, case):
        assert one.object
        assert one.why
        assert one.advice or one.severity is Severity.INFO, one
        assert one.source.startswith("https://") or one.severity is Severity.INFO, one
        assert "\n" not in f"{one.object}{one.why}{one.advice}"


@pytest.mark.parametrize("mesh", [["istiod"], ["istiod", "ztunnel"], ["linkerd"], ["cilium"]], ids=str)
def test_a_healthy_mesh_needs_nothing(mesh: list[str]) -> None:
    findings = examine(Case("", "", cluster=tuple(mesh)).snapshot())
    assert findings
    assert not is_wanting(findings), findings


def test_the_worst_comes_first() -> None:
    case = next(one for one in CASES if one.rule == "certificates.webhook-authority" and one.expect)
    severities = [one.severity for one in examine(case.snapshot())]
    assert severities == sorted(severities, key=list(Severity).index)
    assert len(set(severities)) == len(Severity)
