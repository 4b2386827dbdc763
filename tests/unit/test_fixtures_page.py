"""docs/fixtures.md names every fixture with its scope, and quotes the example."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

from pytest_meshcheck import plugin
from pytest_meshcheck.run import fixtures as run_fixtures
from pytest_meshcheck.suite import MeshCluster
from pytest_meshcheck.testbed.async_cluster import AsyncMeshCluster
from pytest_meshcheck.testbed.stand_in.blocking import BlockingStandIn
from pytest_meshcheck.testbed.stand_in.handle import RunningStandIn

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "fixtures.md").read_text("utf-8")
FOR_TESTS = PAGE.partition("## Fixtures for your tests")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
INTERNAL = {"access", "adapter", "artefacts", "close", "keep_state", "kind", "namespaces", "owner", "scale"}
"""Members of the cluster that are there for the plugin."""

BLOCKING = {"api", "context", "kubeconfig", "mesh", "name", "version", "aio"}
"""Members of the cluster that wait for nothing, and have no other form for coroutines."""


OF_A_STAND_IN = {"loop", "name", "named", "replicas", "sender", "trial"}
"""Members of a stand-in that are there for the plugin."""

WORD = re.compile(r"`(\w+)[`(]")


def fixtures() -> dict[str, str]:
    """The fixtures of a run, with their scopes."""
    defined = [one for one in vars(run_fixtures).values() if isinstance(one, FixtureFunctionDefinition)]
    return {one.name: one._fixture_function_marker.scope for one in defined}


def documented(page: str = PAGE) -> dict[str, str]:
    rows = re.findall(r"^\| (`(?:mesh|stand_in)[^|]*) \| (\w+) \|", page, re.MULTILINE)
    return {name: scope for names, scope in rows for name in re.findall(r"`(\w+)`", names)}


def test_every_fixture_is_documented_with_its_scope() -> None:
    assert "mesh_cluster" in fixtures()
    assert documented() == fixtures()


@pytest.mark.parametrize("name", documented(FOR_TESTS))
def test_every_fixture_for_tests_has_an_example(name: str) -> None:
    assert any(re.search(rf"\b{name}: ", block) for block in BLOCKS)


@pytest.mark.parametrize("name", ["mesh_cluster", "mesh_namespace", "stand_in"])
def test_a_fixture_that_explains_its_absence_is_described_like_the_real_one(name: str) -> None:
    absent, real = getattr(plugin, name), getattr(run_fixtures, name)
    assert absent.__doc__ == real.__doc__


def test_checks_do_not_load_the_cluster_of_tests() -> None:
    code = (
        "import sys, pytest_meshcheck.suite as suite; cluster = 'pytest_meshcheck.testbed.mesh_cluster'; "
        "assert cluster not in sys.modules; assert suite.MeshCluster is sys.modules[cluster].MeshCluster"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r"def (\w+)", block)[0])
def test_a_block_is_a_quotation_of_the_example(block: str) -> None:
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "examples").rglob("*.py"))]
    assert any(block in source for source in sources), f"in no file of examples:\n{textwrap.indent(block, '  ')}"


def test_every_public_member_of_a_stand_in_is_documented_and_blocks_too() -> None:
    section = PAGE.partition("## Stand-ins of your own workloads")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`[a-z].*?) \| ", section, re.MULTILINE) for name in WORD.findall(row)}
    public = {name for name in vars(RunningStandIn) if not name.startswith("_")} - OF_A_STAND_IN
    assert named == public
    assert public - {"blocking"} == {name for name in vars(BlockingStandIn) if not name.startswith("_")} - {"run"}


def test_every_public_member_of_the_cluster_is_documented() -> None:
    members = {name for name in (*vars(MeshCluster), *MeshCluster.__annotations__) if not name.startswith("_")}
    rows = re.findall(r"^\| (`[a-z].*?) \| ", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)[`(]", row) if not name.startswith("mesh_")}
    assert members - INTERNAL <= named


def test_what_blocks_can_be_awaited() -> None:
    public = {name for name in vars(MeshCluster) if not name.startswith("_")} - INTERNAL - BLOCKING
    assert public == {name for name in vars(AsyncMeshCluster) if not name.startswith("_")}
