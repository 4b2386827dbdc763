"""What a check, or a parameter of it, needs of the mesh's documentation."""

from .conftest import Quick, Suite

CHECKS = '''
def with_a_limit(documented):
    return "" if documented.timeout.default else "no limit is documented"


def listed(status):
    return needs(lambda documented: "" if status in documented.retry.statuses else f"{status} cannot be listed")


@needs(with_a_limit)
@check(MUST, "demo.rule")
async def test_limited(mesh):
    """It is cut."""
    expect(1).equals(2)


@pytest.mark.parametrize("status", [pytest.param(one, marks=listed(one)) for one in (418, 503)])
@check(MUST, "demo.rule")
async def test_retried(mesh, status):
    """It is tried again."""
    expect(status).equals(503)
'''


def test_a_check_without_what_it_needs_is_unsupported(suite: Suite, quick: Quick) -> None:
    suite.write(CHECKS)
    assert quick("--mesh=envoy").ret == 0
    assert suite.verdicts() == {
        "demo/limited": "unsupported",
        "demo/retried[418]": "unsupported",
        "demo/retried[503]": "conforms",
    }
    reasons = {name: result["reason"] for name, result in suite.results().items()}
    assert reasons["demo/limited"] == "no limit is documented"
    assert reasons["demo/retried[418]"] == "418 cannot be listed"


ON_A_NETWORK = '''
@check(MUST, "demo.rule")
async def test_labels(mesh, client, server):
    """Labels are changed."""
    async with labelled_as(mesh, client, server):
        expect(1).equals(2)


@check(MUST, "demo.rule")
async def test_nodes(mesh, server):
    """A node calls."""
    async with host_of(mesh, server):
        expect(1).equals(2)
'''


def test_local_processes_have_neither_labels_nor_nodes(suite: Suite, quick: Quick) -> None:
    suite.write(ON_A_NETWORK)
    quick("--mesh=envoy")
    assert {name: (result["verdict"], result["reason"]) for name, result in suite.results().items()} == {
        "demo/labels": ("unsupported", "the workloads on local processes have no labels that could change"),
        "demo/nodes": ("unsupported", "there are no nodes on local processes"),
    }


DETECTING = """
from dataclasses import replace
from pytest_meshcheck.meshes.documented import LifecyclePromises
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

class Detecting(EnvoyMesh):
    async def install(self, platform):
        await super().install(platform)
        self.documented = replace(self.documented, lifecycle=LifecyclePromises(application_waits=False))

def pytest_meshcheck_register_mesh(registry):
    registry.register("detecting", lambda order: Detecting())
"""

WAITING = '''
@needs(lambda documented: "" if documented.lifecycle.application_waits else "nobody waits")
@check(MUST, "demo.rule")
async def test_waits(mesh):
    """It waits."""
    expect(1).equals(2)
'''


def test_what_a_mesh_promises_may_depend_on_how_it_is_found_installed(suite: Suite, quick: Quick) -> None:
    suite.write(WAITING, conftest=DETECTING)
    quick("--mesh=detecting")
    assert suite.verdicts() == {"demo/waits": "unsupported"}
    assert suite.results()["demo/waits"]["reason"] == "nobody waits"


TERSE = """
from pytest_meshcheck.meshes.envoy.documented import CLAIMS
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.capability import Capability

class Terse(EnvoyMesh):
    claims = {Capability.MTLS: CLAIMS[Capability.MTLS]}

def pytest_meshcheck_register_mesh(registry):
    registry.register("terse", lambda order: Terse())
"""

PROVING = '''
@check(MUST, "demo.rule", proves={Capability.RETRY})
async def test_retry(mesh):
    """It is tried again."""
    expect(1).equals(2)


@check(MUST, "demo.rule", proves={Capability.MTLS})
async def test_mtls(mesh):
    """It is mutual TLS."""
    expect(mesh.claims(Capability.RETRY)).equals(False)
'''


def test_an_adapter_need_not_name_what_its_mesh_lacks(suite: Suite, quick: Quick) -> None:
    suite.write(PROVING, conftest=TERSE)
    assert quick("--mesh=terse").ret == 0
    assert suite.verdicts() == {"demo/retry": "unsupported", "demo/mtls": "conforms"}
    assert suite.results()["demo/retry"]["reason"] == "needs retry: its adapter does not mention it"
    rows = {row["name"]: (row["claimed"], row["note"]) for row in suite.report()["capabilities"]}
    assert rows == {"mtls": (True, ""), "retry": (False, "its adapter does not mention it")}
