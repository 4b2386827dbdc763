"""The slow lane: what belongs to it runs only where it was asked for, and reports say so."""

import re

from tests.plugin.conftest import INI, Quick, Suite

LANES = '''
@pytest.mark.parametrize("seconds", [1, pytest.param(660, marks=slow)])
@check(MUST, "demo.rule")
async def test_lives(mesh, seconds):
    """A stream lives for so long."""
    expect(seconds).at_least(1)

@slow
@check(MAY, "demo.rule")
async def test_takes_long(mesh):
    """It has no short form."""
'''

REASON = "slow lane: --mesh-slow"


def test_slow_checks_are_deselected(suite: Suite, quick: Quick) -> None:
    suite.write(LANES)
    quick("--mesh=envoy", "--strict-markers").assert_outcomes(passed=1, deselected=2)


def test_slow_checks_run_where_they_are_asked_for(suite: Suite, quick: Quick) -> None:
    suite.write(LANES)
    quick("--mesh=envoy", "--mesh-slow").assert_outcomes(passed=3)


def test_the_ini_file_can_ask_for_them(suite: Suite, quick: Quick) -> None:
    suite.write(LANES, pytest_ini=f"{INI}mesh_slow = true\n")
    quick("--mesh=envoy").assert_outcomes(passed=3)


def test_reports_say_why_they_are_not_run(suite: Suite, quick: Quick) -> None:
    suite.write(LANES)
    quick("--mesh=envoy")
    told = {name: (result["verdict"], result["reason"]) for name, result in suite.results().items()}
    assert told == {
        "demo/lives[1]": ("conforms", ""),
        "demo/lives[660]": ("not-run", REASON),
        "demo/takes-long": ("not-run", REASON),
    }


def test_what_was_not_asked_for_is_not_missing(suite: Suite, quick: Quick) -> None:
    suite.write(LANES)
    quick("--mesh=envoy").stdout.fnmatch_lines(["score: 1/1 conform. *"])


def test_what_was_asked_for_and_not_run_is_missing(suite: Suite, quick: Quick) -> None:
    suite.write(LANES)
    quick("--mesh=envoy", "--mesh-slow", "--deselect", "demo/test_demo.py::test_lives[envoy-660]")
    assert suite.report()["summary"]["score"] == "1 of 2 conclusive"
    assert suite.results()["demo/lives[660]"]["reason"] == ""


def test_slow_checks_come_last(suite: Suite, quick: Quick) -> None:
    suite.write(LANES.replace("[1, pytest.param(660, marks=slow)]", "[pytest.param(660, marks=slow), 1]"))
    result = quick("--mesh=envoy", "--mesh-slow", "-v")
    assert re.findall(r"::test_lives\[envoy-(\d+)\]", result.stdout.str()) == ["1", "660"]


def test_the_command_that_repeats_a_slow_check_asks_for_it(suite: Suite, quick: Quick) -> None:
    suite.write(LANES)
    quick("--mesh=envoy")
    commands = {name: result["reproduce"].split() for name, result in suite.results().items()}
    asking = {name for name, command in commands.items() if "--mesh-slow" in command}
    assert asking == {"demo/lives[660]", "demo/takes-long"}
