"""What pytest makes of a command line that is nearly right, and what the plugin says to it."""

import pytest

from tests.plugin.conftest import INI, Quick, Suite
from tests.plugin.test_options import usage_error

NO_CHECKS = "meshcheck: there is no check here; run the suite of the plugin with --pyargs pytest_meshcheck.conformance"


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "quiet"])
def test_where_there_is_no_check_the_suite_is_named(suite: Suite, quick: Quick, quiet: tuple[str, ...]) -> None:
    result = quick("--mesh=envoy", *quiet)
    assert result.ret == 5
    result.stdout.fnmatch_lines([NO_CHECKS])


def test_where_checks_were_left_out_it_is_not(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    result = quick("--mesh=envoy", "-k", "nothing")
    assert result.ret == 5
    result.stdout.no_fnmatch_line(NO_CHECKS)


def test_the_suite_of_the_plugin_is_found_in_an_empty_folder(suite: Suite, quick: Quick) -> None:
    result = quick("--mesh=envoy", "--pyargs", "pytest_meshcheck.conformance", "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*timeout/test_timeout.py::test_zero_disables?envoy?"])


@pytest.fixture
def project(suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """A project in a folder of its own, with an ini file, and something beside it."""
    folder = suite.path / "project"
    folder.mkdir()
    (suite.path / "reports").mkdir()
    monkeypatch.chdir(folder)
    return Suite(folder, suite.temporary).write("conforms", pytest_ini=f"{INI}mesh = envoy\n")


def test_a_path_behind_a_space_that_hides_the_ini_file(project: Suite, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--mesh-report", "../reports")
    usage_error(
        result,
        project,
        "ERROR: --mesh-report ../reports: pytest takes a value after a space for a path of tests, and has not read "
        f"{project.path}/pytest.ini: write --mesh-report=../reports",
    )


# what it is: arguments by which the ini file is read
READ = {
    "equals": ("--mesh-report=../reports",),
    "inside": ("--mesh-report", "demo"),
    "not there yet": ("--mesh-report", "../new"),
    "beside tests": ("demo/test_demo.py::test_conforms", "--mesh-report", "../reports"),
    "named": ("-c", "pytest.ini", "--mesh-report", "../reports"),
}


@pytest.mark.parametrize("arguments", READ.values(), ids=READ)
def test_a_path_that_hides_nothing(project: Suite, pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    result = pytester.runpytest_inprocess(*arguments, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["configfile: pytest.ini*"])


def test_without_an_ini_file_there_is_nothing_to_hide(project: Suite, pytester: pytest.Pytester) -> None:
    (project.path / "pytest.ini").unlink()
    result = pytester.runpytest_inprocess("--mesh=envoy", "--mesh-report", "../reports", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
