"""Whose a mesh is that Helm installed: that of the run that did, and of no other."""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.kubernetes.helm_mesh import OF_OUR_AUTHORITY, HelmMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Claim
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import Attempt
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import located
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes

from .conftest import Given

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"


KILLED = """
import sys
from pytest_meshcheck.platforms.cleanup.run_records import Registration
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import NamedCluster
Registration.begin(sys.argv[1], NamedCluster(sys.argv[2], sys.argv[3]))
"""
"""A run that writes down where it is at work, and comes to no end of its own."""


class TinyMesh(HelmMesh):
    """A chart with nothing in it but a ConfigMap."""

    name = "tiny"
    namespace = f"tiny-{secrets.token_hex(3)}"
    repository = "https://charts.invalid"
    newest = "1.0.0"

    def __init__(self, charts: Path, cluster_ref: ClusterRef) -> None:
        claims = {capability: Claim(True, "https://example.com") for capability in OF_OUR_AUTHORITY}
        super().__init__(MeshRequest(None, 1.0, None, charts=str(charts)), claims)  # type: ignore[arg-type]
        self.place = Kubernetes(Journal(), cluster_ref)

    def releases(self) -> Sequence[Release]:
        return (Release("tiny", "tiny", self.namespace),)

    def secrets(self) -> Sequence[Manifest]:
        return ()

    async def ready(self, api: Api) -> None:
        assert await api.read(f"/api/v1/namespaces/{self.namespace}/configmaps/tiny") is not None

    async def detect(self, api: Api) -> None:
        """It is never there before."""

    async def rotated(self, api: Api, what: Rotation) -> None:
        """Nobody is told."""

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        return Metadata()

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return []

    def identity_of(self, workload: WorkloadSpec) -> str:
        return str(workload)

    def peer_identity(self, attempt: Attempt) -> str | None:
        return None

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        raise NotImplementedError


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    templates = tmp_path / "tiny" / "templates"
    templates.mkdir(parents=True)
    (tmp_path / "tiny" / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 1.0.0\n")
    (templates / "map.yaml").write_text(CONFIG_MAP)
    return tmp_path


async def test_a_mesh_belongs_to_the_run_that_installed_it(charts: Path, given: Given) -> None:
    mine = ClusterRef("mine", "none", "a cluster", str(located(given.kubeconfig)), given.context)
    owner = TinyMesh(charts, mine)
    worker = TinyMesh(charts, mine)
    stranger = TinyMesh(charts, msgspec.structs.replace(mine, run="stranger"))
    await owner.install(owner.place)
    try:
        await worker.install(worker.place)
        assert worker.authority.roots == owner.authority.roots
        with pytest.raises(MeshUnavailable, match=r"installed by run mine.*helm uninstall -n tiny-\w+ tiny"):
            await stranger.install(stranger.place)
        await stranger.uninstall()
        await owner.ready(await owner.place.api())
    finally:
        await owner.uninstall()
        for mesh in (owner, worker, stranger):
            await mesh.place.close()


async def test_what_a_killed_run_installed_is_removed_by_clean(
    charts: Path, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(TinyMesh, "namespace", f"tiny-{secrets.token_hex(3)}")
    run, kubeconfig = f"dead{secrets.token_hex(3)}", str(located(given.kubeconfig))
    mesh = TinyMesh(charts, ClusterRef(run, "none", "a cluster", kubeconfig, given.context))
    await mesh.install(mesh.place)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, run, given.context, kubeconfig)
    assert await killed.wait() == 0
    try:
        assert await asyncio.to_thread(main, ["clean"]) == 0, capsys.readouterr()
        assert f"removed: resources of run {run} in context {given.context}\n" in capsys.readouterr().out
        api = await mesh.place.api()
        assert await api.read(f"/api/v1/namespaces/{mesh.namespace}/configmaps/tiny") is None
        home = await api.read(f"/api/v1/namespaces/{mesh.namespace}")
        assert home is None or home["status"]["phase"] == "Terminating"
    finally:
        await mesh.uninstall()
        await mesh.place.close()
