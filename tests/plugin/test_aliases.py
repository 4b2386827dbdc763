"""Ids of an earlier version of a suite, wherever a user may have written them."""

import json

import pytest

from .conftest import Quick, Suite

ALIASES = """
[aliases."demo/old"]
ids = ["demo/conforms", "demo/violates"]
until = "2.0"
"""
NOW = "demo/old is now demo/conforms, demo/violates; 2.0 no longer knows the old id"

KNOWN = """
[[known]]
check = "demo/old"
reason = "It never did."
link = "https://example.org/issues/7"
"""


@pytest.fixture
def renamed(suite: Suite) -> Suite:
    """A suite in which two checks replace one."""
    return suite.write("conforms", "violates", "parameters", suite_toml=ALIASES, known_toml=KNOWN)


def test_an_expectation_under_an_old_id_covers_what_replaces_it(renamed: Suite, quick: Quick) -> None:
    result = quick("--mesh=envoy", "--mesh-expectations=known.toml", "-k", "demo/conforms or demo/violates")
    assert result.ret == 0
    assert renamed.verdicts() == {"demo/conforms": "conforms", "demo/violates": "known-violation"} | NOT_SELECTED
    assert renamed.results()["demo/conforms"]["reason"] == ""
    result.stdout.fnmatch_lines([f"meshcheck: known.toml:2: {NOW}"])


NOT_SELECTED = {f"demo/parameters[{size}]": "not-run" for size in (1, 2, 3)}


def test_an_old_id_selects_what_replaces_it(renamed: Suite, quick: Quick) -> None:
    result = quick("--mesh=envoy", "-k", "demo/old")
    assert renamed.verdicts() == {"demo/conforms": "conforms", "demo/violates": "violates"} | NOT_SELECTED
    result.stdout.fnmatch_lines([f"meshcheck: -k demo/old: {NOW}"])


def test_a_run_without_old_ids_says_nothing_of_them(renamed: Suite, quick: Quick) -> None:
    assert "no longer knows" not in quick("--mesh=envoy", "-k", "demo/conforms").stdout.str()


def test_a_baseline_with_an_old_id_is_compared_with_what_replaces_it(renamed: Suite, quick: Quick) -> None:
    quick("--mesh=envoy", "-k", "demo/conforms")
    before = renamed.report()
    before["results"] = [one | {"id": "demo/old"} for one in before["results"] if one["id"] == "demo/conforms"]
    (renamed.path / "before.json").write_text(json.dumps(before))
    result = quick("--mesh=envoy", "--mesh-baseline=before.json", "-k", "demo/conforms or demo/violates")
    changes = {change["id"]: change["change"] for change in renamed.report()["baseline"]["changes"]}
    assert changes == {"demo/conforms": "same", "demo/violates": "worse"} | dict.fromkeys(NOT_SELECTED, "new")
    result.stdout.fnmatch_lines([f"meshcheck: --mesh-baseline: {NOW}"])


def test_an_id_that_was_never_known_is_refused(renamed: Suite, quick: Quick) -> None:
    (renamed.path / "known.toml").write_text(KNOWN.replace("demo/old", "demo/older"))
    result = quick("--mesh=envoy", "--mesh-expectations=known.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: known.toml:2: no check 'demo/older'; available: demo/conforms, *"])


# file: its content, what is said
MALFORMED = {
    "suite.toml": (
        "[aliases.'demo/old']\nids = ['demo/z']\nuntil = '2.0'",
        "[[]aliases.'demo/old']: no check 'demo/z'",
    ),
    "requirements.toml": (
        "[demo.other]\ntext = 'It MUST.'\nsources = []",
        "no requirement 'demo.rule'; available: demo.other",
    ),
    "demo/requirements.toml": (
        "[dome.rule]\ntext = 'It MUST.'\nsources = []",
        "[[]dome.rule] belongs to the family 'dome'; *",
    ),
}


@pytest.mark.parametrize("file", MALFORMED)
def test_a_malformed_suite_is_refused_in_one_line(renamed: Suite, quick: Quick, file: str) -> None:
    content, said = MALFORMED[file]
    (renamed.path / file).write_text(content)
    result = quick("--mesh=envoy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.stderr.lines if line.strip()]
    result.stderr.fnmatch_lines([f"ERROR: {renamed.path}/*: {said}"])
    assert line.startswith("ERROR: ")
    assert not (renamed.path / "meshcheck-report").exists()
