"""Everything by which pytest selects, orders and counts tests works on checks."""

import re
import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import Quick, Suite

WRAPPED = """
from pytest_meshcheck.meshes.envoy.adapter import adapter

def second(order):
    mesh = adapter(order)
    mesh.name = "second"
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("second", second)
"""

LEVELS = '''
@check(MUST, "demo.rule")
async def test_must(mesh):
    """It must."""

@check(SHOULD, "demo.rule")
async def test_should(mesh):
    """It should."""

@check(MAY, "demo.rule")
async def test_may(mesh):
    """It may."""
'''

BESIDE = """
def test_ordinary():
    assert True
"""

ORDERED = '''
@check(MUST, "demo.rule", restarts_node=True)
async def test_d(mesh):
    """It restarts a node."""

@check(MUST, "demo.rule", disruptive=True)
async def test_a(mesh):
    """It disrupts."""

async def prepare(mesh):
    return 42

@check(MUST, "demo.rule", head_start=prepare)
async def test_b(mesh, head_start):
    """It waits for long."""
    expect(await head_start).equals(42)

@check(MUST, "demo.rule")
async def test_c(mesh):
    """It is quick."""
'''


def test_keyword_is_an_id(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "violates", "parameters")
    quick("--mesh=envoy", "-k", "demo/conforms").assert_outcomes(passed=1, deselected=4)


def test_keyword_is_an_id_without_its_parameters(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "parameters")
    quick("--mesh=envoy", "-k", "demo/parameters").assert_outcomes(passed=2, failed=1, deselected=1)


def test_keyword_is_an_id_with_its_parameters(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "parameters")
    quick("--mesh=envoy", "-k", "demo/parameters[2]").assert_outcomes(passed=1, deselected=3)


def test_keyword_is_an_expression_over_ids(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "parameters")
    quick("--mesh=envoy", "-k", "demo and not demo/parameters[3]").assert_outcomes(passed=3, deselected=1)


def test_marker(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", BESIDE)
    quick("--mesh=envoy", "-m", "mesh_check", "--strict-markers").assert_outcomes(passed=1, deselected=1)
    quick("--mesh=envoy", "-m", "not mesh_check").assert_outcomes(passed=1, deselected=1)


def test_what_is_deselected_is_not_run(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "parameters")
    quick("--mesh=envoy", "--deselect", "demo/test_demo.py::test_parameters[envoy-3]", "-k", "not parameters[1]")
    assert suite.verdicts() == {
        "demo/conforms": "conforms",
        "demo/parameters[1]": "not-run",
        "demo/parameters[2]": "conforms",
        "demo/parameters[3]": "not-run",
    }


def test_everything_deselected_is_pytest_s_own_code_5(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    assert quick("--mesh=envoy", "-k", "nothing").ret == 5
    assert not (suite.path / "meshcheck-report").exists()


def test_last_failed_are_violations_and_inconclusive_checks(suite: Suite, pytester: pytest.Pytester) -> None:
    suite.write("conforms", "violates", "inconclusive", "unsupported")
    pytester.runpytest_inprocess("--mesh=envoy")
    again = pytester.runpytest_inprocess("--mesh=envoy", "--lf")
    again.assert_outcomes(failed=1, errors=1)
    others = {"demo/conforms": "conforms", "demo/unsupported": "unsupported"}
    assert suite.verdicts() == {"demo/violates": "violates", "demo/inconclusive": "inconclusive"} | others


def test_ends_at_the_first_violation(suite: Suite, quick: Quick) -> None:
    suite.write("violates", "conforms")
    result = quick("--mesh=envoy", "-x")
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    assert suite.verdicts() == {"demo/violates": "violates", "demo/conforms": "not-run"}


def test_ends_at_the_first_inconclusive_check(suite: Suite, quick: Quick) -> None:
    suite.write("inconclusive", "conforms")
    quick("--mesh=envoy", "-x").assert_outcomes(errors=1)
    assert suite.verdicts() == {"demo/inconclusive": "inconclusive", "demo/conforms": "not-run"}


def test_quiet_prints_no_header(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    result = quick("--mesh=envoy", "-q")
    result.stdout.no_fnmatch_line("meshcheck: envoy*")
    result.stdout.fnmatch_lines(["score: 1/1 conform*"])


def test_header_names_mesh_level_and_capabilities(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    quick("--mesh=envoy").stdout.re_match_lines([r"meshcheck: envoy@\S+ on local processes, level=may, \d+/\d+ cap"])


def test_collecting_starts_nothing(suite: Suite, pytester: pytest.Pytester) -> None:
    suite.write("served", "parameters", conftest="def pytest_meshcheck_envoy_resources(): raise RuntimeError")
    result = pytester.runpytest_inprocess("--mesh=envoy", "--collect-only", "-q", "-p", "no:cacheprovider")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["demo/test_demo.py::test_served?envoy?", "demo/test_demo.py::test_parameters?envoy-1?"]
    )
    assert not (suite.path / "meshcheck-report").exists()


def test_junit_tells_violations_errors_and_skips_apart(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "violates", "inconclusive", "unsupported")
    quick("--mesh=envoy", "--junitxml=junit.xml")
    told = {
        case.get("name", "").partition("[")[0]: [child.tag for child in case if child.tag != "properties"]
        for case in ET.parse(suite.path / "junit.xml").iter("testcase")
    }
    assert told == {
        "test_conforms": [],
        "test_violates": ["failure"],
        "test_inconclusive": ["error"],
        "test_unsupported": ["skipped"],
    }


def test_junit_counts_each_check_once(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "violates", "inconclusive", "unsupported")
    quick("--mesh=envoy", "--junitxml=junit.xml")
    (totals,) = ET.parse(suite.path / "junit.xml").iter("testsuite")
    assert {name: totals.get(name) for name in ("tests", "errors", "failures", "skipped")} == {
        "tests": "4",
        "errors": "1",
        "failures": "1",
        "skipped": "1",
    }


def test_junit_carries_id_and_verdict(suite: Suite, quick: Quick) -> None:
    suite.write("inconclusive")
    quick("--mesh=envoy", "--junitxml=junit.xml")
    properties = {p.get("name"): p.get("value") for p in ET.parse(suite.path / "junit.xml").iter("property")}
    assert properties == {"meshcheck_id": "demo/inconclusive", "meshcheck_verdict": "inconclusive"}


@pytest.mark.parametrize(("level", "run"), [("must", 1), ("should", 2), ("may", 3)])
def test_level(suite: Suite, quick: Quick, level: str, run: int) -> None:
    suite.write(LEVELS)
    quick("--mesh=envoy", f"--mesh-level={level}").assert_outcomes(passed=run, deselected=3 - run)
    assert suite.report()["level"] == level.upper()


def test_long_and_disruptive_checks_come_last(suite: Suite, quick: Quick) -> None:
    suite.write(ORDERED)
    result = quick("--mesh=envoy", "-v")
    result.assert_outcomes(passed=4)
    assert re.findall(r"::test_(\w)\[", result.stdout.str()) == ["c", "b", "a", "d"]


def test_ordinary_tests_run_beside_checks(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", BESIDE)
    quick("--mesh=envoy").assert_outcomes(passed=2)
    assert set(suite.verdicts()) == {"demo/conforms"}


def test_meshes_are_judged_one_after_the_other(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "served", conftest=WRAPPED)
    result = quick("--mesh=second", "--mesh=envoy", "-v")
    result.assert_outcomes(passed=4)
    assert re.findall(r"::test_\w+\[(\w+)\] PASSED", result.stdout.str()) == ["second", "second", "envoy", "envoy"]


def test_each_mesh_has_a_report(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", "violates", conftest=WRAPPED)
    result = quick("--mesh=envoy", "--mesh=second")
    result.stdout.re_match_lines([r"=* mesh conformance: envoy \S+ =*", r"=* mesh conformance: second \S+ =*"])
    assert sorted(path.name.partition("-")[0] for path in (suite.path / "meshcheck-report").iterdir()) == [
        "envoy",
        "second",
    ]


def test_one_mesh_asked_for_twice_is_judged_once(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    quick("--mesh=envoy", "--mesh=envoy").assert_outcomes(passed=1)


EVERYTHING = ("conforms", "violates", "inconclusive", "unsupported", "served", "refused", "parameters")


def test_workers_come_to_the_same_verdicts_keep_evidence_and_leave_nothing_else_behind(suite: Suite) -> None:
    suite.write(*EVERYTHING)
    single = suite.run()
    expected = suite.verdicts()
    parallel = suite.run("-n2")
    assert parallel.code == single.code, parallel.output
    assert suite.verdicts() == expected, parallel.output
    assert suite.is_gone()
    assert not suite.run_directories()
    folder = suite.directory / suite.results()["demo/parameters[3]"]["evidence"]
    assert (folder / "state").is_dir()


def test_workers_write_one_report(suite: Suite) -> None:
    suite.write(*EVERYTHING)
    run = suite.run("-n2", "-k", "not violates")
    assert run.output.count("mesh conformance: envoy") == 1
    assert run.output.count("report: ") == 1
    assert suite.report()["complete"] is True
    assert suite.report()["requirements"]["demo.rule"]["text"] == "A mesh MUST do what it says."
    assert suite.verdicts()["demo/violates"] == "not-run"


IDS = """
from pytest_meshcheck.run.items import CHECK_ITEM

def pytest_collection_modifyitems(items):
    for item in items:
        print("id:", item.stash[CHECK_ITEM].id)
"""


def test_every_id_of_the_shipped_suite_can_be_a_keyword(
    pytester: pytest.Pytester, quick: Quick, request: pytest.FixtureRequest
) -> None:
    pytester.makepyfile(tell_ids=IDS)
    pytester.syspathinsert()
    shipped = request.config.rootpath / "conformance"
    collected = quick("-p", "tell_ids", "--mesh=envoy", "--collect-only", "-q", "-s", str(shipped))
    ids = re.findall(r"^id: (.*)$", collected.stdout.str(), re.M)
    assert len(ids) > 34
    # What pytest accepts in an expression for -k.
    assert [name for name in ids if not re.fullmatch(r"(:?\w|:|\+|-|\.|\[|\]|\\|/)+", name)] == []
