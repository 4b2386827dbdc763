"""Without a mesh the plugin is not to be noticed."""

import subprocess
import sys

import pytest

from tests.plugin.conftest import Quick, Suite

ORDINARY = "def test_ordinary(): pass"

MODULES = """
import sys

def pytest_unconfigure():
    print("modules:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_nothing_is_printed(suite: Suite, quick: Quick) -> None:
    suite.write(test_ordinary_py=ORDINARY)
    result = quick()
    result.assert_outcomes(passed=1)
    assert [line for line in result.outlines if "meshcheck" in line and not line.startswith("plugins: ")] == []


def test_nothing_is_made(suite: Suite) -> None:
    suite.write(test_ordinary_py=ORDINARY)
    before = set(suite.path.rglob("*"))
    suite.finish(suite.start("-p", "no:cacheprovider", PYTHONDONTWRITEBYTECODE="1"))
    assert set(suite.path.rglob("*")) == before
    assert suite.run_directories() == []


def modules(suite: Suite, *args: str) -> set[str]:
    """The top-level modules that a run has imported by its end."""
    (line,) = [line for line in suite.finish(suite.start(*args, "-s")).output.splitlines() if "modules:" in line]
    return set(line.partition("modules:")[2].split())


def test_nothing_is_imported_but_the_standard_library(suite: Suite) -> None:
    suite.write(test_ordinary_py=ORDINARY, conftest=MODULES)
    more = modules(suite, "-p", "no:asyncio") - modules(suite, "-p", "no:asyncio", "-p", "no:meshcheck")
    assert more - {"pytest_meshcheck"} <= sys.stdlib_module_names


def test_of_itself_it_imports_the_options_and_no_more(suite: Suite) -> None:
    tell = MODULES.replace('{name.partition(".")[0] for name in sys.modules}', "sys.modules")
    suite.write(test_ordinary_py=ORDINARY, conftest=tell)
    ours = {name for name in modules(suite) if name.startswith("pytest_meshcheck")}
    assert ours == {
        "pytest_meshcheck",
        "pytest_meshcheck.hookspecs",
        "pytest_meshcheck.options",
        "pytest_meshcheck.plugin",
        "pytest_meshcheck.refusals",
    }


def test_its_fixtures_are_not_there(suite: Suite, quick: Quick) -> None:
    suite.write(test_ordinary_py=ORDINARY)
    quick("--fixtures").stdout.no_fnmatch_line("*client_in_green*")


@pytest.mark.parametrize("option", ["--help", "--markers", "--fixtures", "--collect-only", "--version"])
@pytest.mark.parametrize("mesh", [(), ("--mesh=envoy",)], ids=["without", "with"])
def test_pytest_s_own_questions_are_answered(suite: Suite, quick: Quick, option: str, mesh: tuple[str, ...]) -> None:
    suite.write(test_ordinary_py=ORDINARY)
    result = quick(option, *mesh)
    assert result.ret == 0
    assert not result.stderr.str()


def test_an_unknown_mesh_does_not_keep_the_help_away(suite: Suite, quick: Quick) -> None:
    suite.write(test_ordinary_py=ORDINARY)
    result = quick("--help", "--mesh=envoi")
    result.stdout.fnmatch_lines(["*service mesh conformance*"])


def test_markers_tell_what_the_marker_is(quick: Quick) -> None:
    quick("--markers").stdout.fnmatch_lines(["@pytest.mark.mesh_check(check): a conformance check; made by @check."])


def test_every_fixture_is_described(suite: Suite, quick: Quick) -> None:
    suite.write(test_ordinary_py=ORDINARY)
    result = quick("--fixtures", "--mesh=envoy")
    result.stdout.fnmatch_lines(
        ["*fixtures defined from pytest_meshcheck.run.fixtures*", "mesh -- *", "*The mesh under test*"]
    )
    ours = result.stdout.str().partition("fixtures defined from pytest_meshcheck")[2]
    assert "no docstring available" not in ours.partition("fixtures defined from")[0]


def test_import_of_the_package_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import pytest_meshcheck; print(*set(sys.modules) - before)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["pytest_meshcheck"]
