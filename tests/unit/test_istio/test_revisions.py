"""Two control planes side by side: what is installed, who validates, and whose a new pod is."""

import asyncio

import pytest

from pytest_meshcheck.meshes.canary import UpgradeBy, ways_of
from pytest_meshcheck.meshes.istio.ambient import AMBIENT_CLAIMS
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.istio.revisions import REVISION, installed, revision_of
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object

ORDER = MeshRequest(None, 1.0, None, installed=True)  # type: ignore[arg-type]
SERVER = WorkloadSpec("blue", "server")

Described = tuple[str, str, object, object]

OLD: Described = ("istiod", "istiod", None, None)
NEW: Described = ("istiod-1-30-3", "istiod", "1-30-3", None)


class OnPaper(IstioMesh):
    """Notes which charts it would have installed, instead of calling helm."""

    def __init__(self) -> None:
        super().__init__(ORDER)
        self.noted: list[list[Described]] = []

    def switch_version(self, version: str) -> None:
        self.version = version

    async def have_charts(self) -> None:
        self.noted.append([described(release) for release in self.there()])


def described(release: Release) -> Described:
    return release.name, release.chart, release.values.get("revision"), release.values.get("defaultRevision")


def test_the_first_control_plane_validates_until_it_goes() -> None:
    mesh = OnPaper()
    asyncio.run(mesh.install_alongside("1.30.3"))
    asyncio.run(mesh.retire())
    beside = [("istio-base", "base", None, None), NEW, OLD]
    assert mesh.noted == [beside, [("istio-base", "base", None, "1-30-3"), NEW]]


def test_what_is_started_belongs_to_the_newest_control_plane() -> None:
    mesh = OnPaper()
    assert REVISION not in mesh.enrolment(SERVER).labels
    asyncio.run(mesh.install_alongside("1.30.3"))
    assert mesh.enrolment(SERVER).labels[REVISION] == "1-30-3"


@pytest.mark.parametrize("enrolment", [Enrolment.UNENROLLED, Enrolment.IMPERSONATED])
def test_what_is_outside_belongs_to_none(enrolment: Enrolment) -> None:
    mesh = OnPaper()
    mesh.revision = "1-30-3"
    assert REVISION not in mesh.enrolment(WorkloadSpec("grey", "one", enrolment)).labels


@pytest.mark.parametrize(
    ("version", "revision"), [("1.30.3", "1-30-3"), ("1.31.0-rc.0", "1-31-0-rc-0"), ("1.32_Dev", "1-32-dev")]
)
def test_a_revision_is_fit_for_a_label(version: str, revision: str) -> None:
    assert revision_of(version) == revision


def test_which_meshes_can_be_upgraded_by_canary() -> None:
    assert ways_of(IstioMesh(ORDER)) == (UpgradeBy.IN_PLACE, UpgradeBy.CANARY)
    assert ways_of(LinkerdMesh(ORDER)) == (UpgradeBy.IN_PLACE,)
    assert not AMBIENT_CLAIMS[Capability.UPGRADE].supported


class Cluster(Api):
    """Answers with these deployments, whatever is asked for."""

    def __init__(self, *deployments: Object) -> None:
        self.deployments = list(deployments)

    async def items(self, path: str, labels: str = "") -> tuple[list[Object], str]:
        return self.deployments, "1"


def istiod(revision: str, tag: str) -> Object:
    template = {"metadata": {}, "spec": {"containers": [{"image": f"hub/pilot:{tag}-distroless"}]}}
    return {"metadata": {"labels": {REVISION: revision}}, "spec": {"template": template}}


DEFAULT, OTHER, THIRD = istiod("default", "1.29.6"), istiod("1-30-3", "1.30.3"), istiod("1-31-0", "1.31.0")

FOUND = [
    # what is there -> revision, version
    ((DEFAULT,), ("", "1.29.6")),
    ((OTHER,), ("1-30-3", "1.30.3")),
    ((OTHER, DEFAULT), ("", "1.29.6")),
]


@pytest.mark.parametrize(("there", "found"), FOUND)
def test_the_control_plane_that_is_there_is_found(there: tuple[Object, ...], found: tuple[str, str]) -> None:
    assert asyncio.run(installed(Cluster(*there))) == found


@pytest.mark.parametrize(("there", "why"), [((), "no istiod"), ((OTHER, THIRD), "1-30-3, 1-31-0; uninstall")])
def test_none_is_guessed(there: tuple[Object, ...], why: str) -> None:
    with pytest.raises(MeshUnavailable, match=why):
        asyncio.run(installed(Cluster(*there)))
