"""``--mesh-upgrade-to``: one mesh in two versions, on one stage."""

import json
from typing import Any

import pytest

from tests.plugin.conftest import Quick, Suite

UPGRADABLE = """
from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable

class Upgradable(EnvoyMesh):
    name = "upgradable"

    def __init__(self, version):
        super().__init__(hot_restart=True)
        self.version = version
        if version == "2-less":
            self.claims = {**self.claims, Capability.RETRY: self.claims[Capability.KUBERNETES]}

    def prepare(self):
        self._binary = binary.obtain("")

    async def upgrade(self, version):
        if version == "2-broken":
            raise Inconclusive("it does not start")
        await super().upgrade(version)
        await self.rotate(Rotation.LEAF)

def upgradable(order):
    if order.version == "3":
        raise MeshUnavailable("there is no upgradable 3")
    return Upgradable(order.version)

def pytest_meshcheck_register_mesh(registry):
    registry.register("upgradable", upgradable)
"""

TELLS = '''
@check(MUST, "demo.rule")
async def test_tells(mesh, client):
    """Which version it has, and which workload is the client."""
    mesh.measure("version", mesh.adapter.version)
    mesh.measure("client", id(client))
    expect(1).equals(1)
'''

GETS_WORSE = '''
@check(MUST, "demo.rule")
async def test_gets_worse(mesh):
    """It holds in the first version."""
    expect(mesh.adapter.version).equals("1")
'''

RETRIES = '''
@check(MUST, "demo.rule", proves={Capability.RETRY})
async def test_retries(mesh):
    """It is claimed in the first version."""
    expect(1).equals(1)
'''

HITLESS = '''
@check(MUST, "demo.rule", proves={Capability.UPGRADE})
async def test_hitless(mesh, upgraded):
    """Nothing is lost."""
    for load in upgraded.loads.values():
        control(load).sent_at_least(10)
        expect(load).served_once()
    expect(upgraded.intrusion).refused()
    expect((upgraded.before, upgraded.after)).equals(("1", "2"))
'''


def report(suite: Suite, version: str) -> dict[str, Any]:
    path = suite.path / "meshcheck-report" / f"upgradable-{version}" / "report.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def verdicts(suite: Suite, version: str) -> dict[str, str]:
    return {result["id"]: result["verdict"] for result in report(suite, version)["results"]}


def measured(suite: Suite, version: str) -> dict[str, Any]:
    (result,) = [result for result in report(suite, version)["results"] if result["id"] == "demo/tells"]
    found: dict[str, Any] = result["measured"]
    return found


def marks(suite: Suite) -> dict[str, list[str]]:
    """The kinds of the marks in the pictures of an upgrade, by load."""
    (hitless,) = [one for one in report(suite, "2")["results"] if one["id"] == "demo/hitless"]
    return {load["name"]: [mark["kind"] for mark in load["marks"]] for load in hitless["history"]["loads"]}


def test_a_mesh_is_judged_before_and_after_on_one_stage(suite: Suite) -> None:
    suite.write(TELLS, HITLESS, conftest=UPGRADABLE)
    run = suite.run("--mesh-upgrade-to=2", mesh="upgradable@1")
    assert run.has("baseline: against upgradable 1: 1 same, 1 new")
    assert run.code == 0
    assert verdicts(suite, "1") == {"demo/tells": "conforms"}
    assert verdicts(suite, "2") == {"demo/tells": "conforms", "demo/hitless": "conforms"}
    assert [measured(suite, version)["version"] for version in "12"] == ["1", "2"]
    assert measured(suite, "1")["client"] == measured(suite, "2")["client"]
    both_ends = ["upgrade", "upgrade"]
    assert marks(suite) == {
        f"1 -> 2, {part}, {port}": seen
        for part, seen in {"control plane": [*both_ends, "certificate"], "data planes": both_ends}.items()
        for port in ("http", "grpc")
    }


def test_what_is_selected_after_the_upgrade_alone_is_upgraded_as_well(suite: Suite) -> None:
    suite.write(HITLESS, conftest=UPGRADABLE)
    run = suite.run("--mesh-upgrade-to=2", "-k", "demo/hitless", mesh="upgradable@1")
    assert run.has("1 passed")
    assert report(suite, "2")["results"][0]["reproduce"] == (
        "pytest --mesh=upgradable@1 --mesh-upgrade-to=2 'demo/test_demo.py::test_hitless[upgradable@2]'"
    )


def test_what_is_worse_after_the_upgrade_fails_the_run(suite: Suite) -> None:
    suite.write("conforms", GETS_WORSE, RETRIES, conftest=UPGRADABLE)
    run = suite.run("--mesh-upgrade-to=2-less", mesh="upgradable@1")
    assert run.code == 1
    assert run.has("2 worse", "demo/gets-worse: conforms -> violates", "demo/retries: conforms -> unsupported")
    assert run.has("1 failed, 4 passed, 1 skipped")


def test_a_claim_that_is_given_up_fails_the_run(suite: Suite) -> None:
    suite.write(RETRIES, conftest=UPGRADABLE)
    assert suite.run("--mesh-upgrade-to=2-less", mesh="upgradable@1").code == 1


def test_after_an_upgrade_that_breaks_nothing_is_known(suite: Suite) -> None:
    suite.write("conforms", conftest=UPGRADABLE)
    run = suite.run("--mesh-upgrade-to=2-broken", mesh="upgradable@1")
    assert run.code == 1
    assert verdicts(suite, "1") == {"demo/conforms": "conforms"}
    assert verdicts(suite, "2-broken") == {"demo/conforms": "inconclusive"}
    assert run.has("it does not start")
    (result,) = report(suite, "2-broken")["results"]
    folder = suite.path / "meshcheck-report" / "upgradable-2-broken" / result["evidence"]
    assert list((folder / "state").glob("sidecar-of-*.log"))


def test_the_mesh_goes_where_no_upgrade_follows_any_more(suite: Suite) -> None:
    suite.write("violates", conftest=UPGRADABLE)
    run = suite.run("-x", "--mesh-upgrade-to=2", mesh="upgradable@1")
    assert run.code == 1
    assert suite.is_gone()
    assert not suite.run_directories()


def test_checks_of_an_upgrade_are_left_out_where_there_is_none(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", HITLESS, conftest=UPGRADABLE)
    quick("--mesh=upgradable@1").assert_outcomes(passed=1, deselected=1)


# options: what is said
REFUSED = {
    "--mesh=upgradable@1 --mesh=envoy": (
        "--mesh-upgrade-to=2 upgrades one mesh, but --mesh names upgradable@1, envoy: *"
    ),
    "--mesh=upgradable@2": "--mesh-upgrade-to=2: upgradable is 2 already; choose another version",
    "--mesh=upgradable@1 -n 2": "--mesh-upgrade-to=2 needs one process: *; omit -n",
    "--mesh=upgradable@1 --mesh-installed": (
        "--mesh-upgrade-to=2: *(--mesh-installed); upgrade it yourself, *--mesh-baseline=FILE"
    ),
    "--mesh=upgradable@1 --mesh-upgrade-to=3": "there is no upgradable 3",
    "--mesh=upgradable@1 --mesh-upgrade-by=canary": (
        "--mesh-upgrade-by=canary: upgradable does not support this strategy; valid values are in-place"
    ),
    "--mesh=upgradable@1 --mesh-upgrade-by=blue-green": (
        "--mesh-upgrade-by=blue-green: valid values are in-place, canary."
    ),
    "--mesh=none": "--mesh=none@2: `none` has no versions; *",
}


@pytest.mark.parametrize("given", REFUSED)
def test_an_upgrade_that_cannot_be_made_is_refused_before_anything_is(suite: Suite, quick: Quick, given: str) -> None:
    suite.write("conforms", conftest=UPGRADABLE)
    result = quick("--mesh-upgrade-to=2", *given.split())
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {REFUSED[given]}"])
    assert not (suite.path / "meshcheck-report").exists()
