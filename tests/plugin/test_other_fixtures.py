"""Fixtures of other plugins stay what they are when a mesh is selected."""

import pytest

from pytest_meshcheck.checks.plain_names import PLAIN
from tests.plugin.conftest import Quick, Suite

FLASKY = """
import pytest

@pytest.fixture
def client():
    return "a client of Flask"

@pytest.fixture
def server():
    return "a live server"
"""

PAGE = """
def test_page(client, server):
    assert (client, server) == ("a client of Flask", "a live server")
"""


@pytest.fixture
def beside_flasky(suite: Suite, pytester: pytest.Pytester) -> Suite:
    """A suite beside a test that uses fixtures of another plugin."""
    suite.write("served", flasky_py=FLASKY, test_page_py=PAGE)
    pytester.syspathinsert()
    return suite


def test_fixtures_of_other_plugins_are_theirs(beside_flasky: Suite, quick: Quick) -> None:
    result = quick("-p", "flasky", "--mesh=envoy", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_page.py::test_page PASSED*"])
    assert set(beside_flasky.verdicts()) == {"demo/served"}


def test_a_test_that_is_no_check_starts_no_mesh(beside_flasky: Suite, quick: Quick) -> None:
    (beside_flasky.path / "conftest.py").write_text("def pytest_meshcheck_envoy_resources(): raise RuntimeError")
    quick("-p", "flasky", "--mesh=envoy", "test_page.py").assert_outcomes(passed=1)


def test_every_plain_name_is_one_of_checks_alone(suite: Suite, quick: Quick) -> None:
    suite.write(test_ordinary_py="def test_ordinary(): pass")
    names = {line.partition(" ")[0] for line in quick("--fixtures", "--mesh=envoy").outlines}
    assert set(PLAIN.values()) <= names
    assert not set(PLAIN) & names


def test_a_test_of_one_s_own_asks_for_workloads_by_their_long_names(suite: Suite, quick: Quick) -> None:
    suite.write(test_names_py="def test_names(mesh_client, mesh_server): assert mesh_client.name != mesh_server.name")
    quick("--mesh=envoy").assert_outcomes(passed=1)


OVERRIDDEN = '''
@pytest.fixture
def mesh_server():
    return "another server"

@check(MUST, "demo.rule")
async def test_overridden(mesh, server):
    """It is about another server."""
    expect(server).equals("another server")
'''


def test_a_suite_overrides_a_workload_by_its_long_name(suite: Suite, quick: Quick) -> None:
    suite.write(OVERRIDDEN)
    quick("--mesh=envoy").assert_outcomes(passed=1)


TRIANGLES = """
import pytest

@pytest.fixture
def mesh():
    return "triangles"

@pytest.fixture
def mesh_name():
    return "bunny"

def test_triangles(mesh, mesh_name):
    assert (mesh, mesh_name) == ("triangles", "bunny")

@pytest.mark.parametrize("mesh_name", ["teapot"])
def test_names(mesh_name):
    assert mesh_name == "teapot"
"""


def test_meshes_of_another_kind_are_left_alone(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", test_triangles_py=TRIANGLES)
    result = quick("--mesh=envoy", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["test_triangles.py::test_triangles PASSED*"])
