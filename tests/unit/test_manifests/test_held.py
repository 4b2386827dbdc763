"""How a run ends whose manifests turn out to be bad only once the mesh is there."""

from typing import cast

import pytest

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.plan import Configured, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.options import MeshName
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.run.manifest_trial import ManifestTrial
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.trial.trial import Trial

pytestmark = pytest.mark.asyncio

MESH = MeshName("none", None)
TEXT = """apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: []}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
SAID = "--mesh-manifests: k8s.yaml:1: PeerAuthentication a is rejected: unknown field"


class Subject:
    """A mesh on a platform, of which nothing else is asked."""

    def __init__(self, platform: object) -> None:
        self.adapter, self.platform = cast("Mesh", self), platform
        self.steps: dict[str, float] = {}


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trials that cannot begin, as the mesh rejects a resource; each notes that it was closed."""
    noted: list[str] = []

    async def begin(_trial: Trial) -> None:
        raise ManifestError(SAID.removeprefix("--mesh-manifests: "))

    async def close(_trial: Trial) -> None:
        noted.append("closed")

    monkeypatch.setattr(Trial, "begin", begin)
    monkeypatch.setattr(Trial, "close", close)
    return noted


async def hold(manifests: ManifestTrial, platform: object) -> None:
    async with manifests.held(MESH, cast("MeshUnderTest", Subject(platform))):
        pytest.fail("it has begun")


def manifests(*, in_worker: bool) -> ManifestTrial:
    texts = [Text("k8s.yaml", TEXT)]
    return ManifestTrial(texts, {MESH: plan(objects_in(texts), Configured("none", ()))}, in_worker=in_worker)


def cluster() -> Kubernetes:
    return Kubernetes(Journal(), ClusterRef("c0ffee", "", "a cluster", "", "near"))


async def test_the_run_ends_with_the_place_and_the_exit_code_of_bad_input(closed: list[str]) -> None:
    with pytest.raises(pytest.exit.Exception) as ended:
        await hold(manifests(in_worker=False), cluster())
    assert (str(ended.value), ended.value.returncode) == (f"meshcheck: {SAID}", pytest.ExitCode.USAGE_ERROR)
    assert closed == ["closed"]


async def test_an_xdist_worker_has_no_verdict_instead(closed: list[str]) -> None:
    with pytest.raises(Inconclusive) as unknown:
        await hold(manifests(in_worker=True), cluster())
    assert str(unknown.value) == SAID
    assert closed == ["closed"]


async def test_the_start_of_the_stand_ins_and_the_wait_for_the_configuration_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def done(_trial: Trial) -> None:
        """Nothing is made."""

    for part in ("begin", "settle", "close"):
        monkeypatch.setattr(Trial, part, done)
    subject = Subject(cluster())
    async with manifests(in_worker=False).held(MESH, cast("MeshUnderTest", subject)):
        assert list(subject.steps) == ["stand-ins", "configuration"]


async def test_a_platform_of_a_users_own_that_is_no_cluster_has_no_stand_ins() -> None:
    with pytest.raises(Inconclusive, match="stand-ins need a cluster, and none runs on a laptop"):
        await hold(manifests(in_worker=False), "a laptop")
