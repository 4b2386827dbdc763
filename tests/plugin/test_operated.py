"""A mesh that an operator installs, not Helm: looked at before a run makes anything, removed after it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.programs import Programs

from .conftest import Finished, Quick, Suite
from .recorded import api_server
from .test_installed import KUBECONFIG

MESH = """
from pathlib import Path
from pytest_meshcheck.meshes.envoy.documented import CLAIMS, DOCUMENTED
from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.platforms.base import Metadata

SEEN = Path(__file__).with_name("seen.txt")
TAKEN = Path(__file__).with_name("taken.txt")
STUCK = Path(__file__).with_name("stuck.txt")

class Operated(KubernetesMesh):
    name, version, namespace, claims, documented = "operated", "2.0", "operated-system", CLAIMS, DOCUMENTED

    def __init__(self, order):
        super().__init__(order)
        self.authority = Authority("cluster.local")

    async def detect(self, api):
        self.note(f"detect {await api.version()}")

    async def refuse_taken(self, api):
        self.note("refuse_taken")
        if TAKEN.exists():
            raise MeshUnavailable(TAKEN.read_text())

    async def install(self, platform):
        self.note("install")
        self.bind(platform)
        raise Inconclusive("the operator does not become ready")

    async def uninstall(self):
        self.note(f"uninstall in {self.platform.cluster_ref.context}")
        if STUCK.exists():
            raise Inconclusive(STUCK.read_text())

    def note(self, text):
        SEEN.write_text((SEEN.read_text() if SEEN.exists() else "") + text + "\\n")

    def enrolment(self, workload): return Metadata()
    def render(self, policies): return []
    async def settled(self): pass
    def identity_of(self, workload): return ""
    def peer_identity(self, attempt): return None
    def endpoint(self, workload, port): raise NotImplementedError
    async def rotate(self, what, lifetime=None): pass
    async def diagnose(self, directory): pass
"""
CONFTEST = """
from operated import Operated

def pytest_meshcheck_register_mesh(registry):
    registry.register("operated", Operated)
"""
DISRUPTED = f"{CONFTEST}\nOperated.may_stay_changed = True"
SWITCHING = """
from pathlib import Path
from operated import Operated
from pytest_meshcheck.meshes.kubernetes.helm_mesh import HelmMesh

CONFIG = Path(__file__).with_name("config.yaml")

class Switching(Operated):
    async def look(self, api):
        self.note(api.configuration.host)
        CONFIG.write_text(CONFIG.read_text().replace("current-context: near", "current-context: far"))

    async def uninstall(self):
        self.note((await self.platform.api()).configuration.host)
        await HelmMesh._helm(self).uninstall("operated", self.namespace)

def pytest_meshcheck_register_mesh(registry):
    registry.register("operated", Switching)
"""
"""The user switches to another context as soon as the run has looked at the cluster."""

FAR = {
    # list of a kubeconfig: what it has of another cluster
    "clusters:": "- {name: far, cluster: {server: 'http://127.0.0.1:9'}}",
    "contexts:": "- {name: far, context: {cluster: far, user: me}}",
}
STUCK = "a finalizer holds the namespace operated-system"


class Runs:
    """Runs over a suite with that mesh, in a cluster whose API server answers but has nothing."""

    def __init__(self, suite: Suite, quick: Quick, server: str, state: Path) -> None:
        self.suite, self.quick, self.state = suite, quick, state
        suite.write("served", conftest=CONFTEST, operated_py=MESH, config_yaml=KUBECONFIG.format(server=server))

    def __call__(self, *options: str, mesh: str = "operated", **files: str) -> pytest.RunResult:
        self.suite.write(conftest=CONFTEST, **files)
        return self.quick(f"--mesh={mesh}", *OPTIONS, *options)

    def elsewhere(self, options: Sequence[str] = (), kubeconfig: str = "", **files: str) -> Finished:
        """A run in a process of its own, which is dead afterwards."""
        self.suite.write(conftest=CONFTEST, **files)
        place = {"XDG_STATE_HOME": str(self.state), "KUBECONFIG": kubeconfig}
        return self.suite.run(*(options or OPTIONS), mesh="operated", **place)

    def clean(self, *options: str) -> Finished:
        """``meshcheck clean`` in another folder, which finds adapters on the path and no kind."""
        place = {"XDG_STATE_HOME": str(self.state), "TMPDIR": str(self.suite.temporary), "PATH": ""}
        done = subprocess.run(
            [sys.executable, "-m", "pytest_meshcheck", "clean", *options],
            cwd=self.suite.temporary,
            env={**os.environ, **place, "PYTHONPATH": f"{self.suite.path}:{os.environ.get('PYTHONPATH', '')}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Finished(done.returncode, done.stdout)

    def package(self) -> None:
        """Make the adapter that of an installed package."""
        about = self.suite.path / "operated-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: operated\nVersion: 1\n")
        (about / "entry_points.txt").write_text("[pytest_meshcheck.meshes]\noperated = operated:Operated\n")

    @property
    def seen(self) -> list[str]:
        return (Path(self.suite.path) / "seen.txt").read_text().splitlines()

    @property
    def records(self) -> list[Path]:
        return list((self.state / "meshcheck").glob("*.json"))


OPTIONS = ("--mesh-kubeconfig=config.yaml", "--mesh-probe-image=probe:1")


@pytest.fixture
def run(suite: Suite, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with api_server(()) as (server, _):
        yield Runs(suite, quick, server, tmp_path / "state")


def test_what_is_in_its_way_is_refused_before_anything_is_made(run: Runs) -> None:
    result = run(taken_txt="another run operates there")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: another run operates there"])
    assert run.seen == ["refuse_taken"]


def test_another_version_than_the_installed_one_is_refused(run: Runs) -> None:
    result = run("--mesh-installed", mesh="operated@3.0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: operated 2.0 is installed, not 3.0: use --mesh=operated@2.0*"])
    assert run.seen == ["detect v1.34.4"]


def test_it_is_removed_after_the_run(run: Runs) -> None:
    result = run()
    result.stdout.fnmatch_lines(["*the operator does not become ready*"])
    assert run.seen[:2] == ["refuse_taken", "install"]
    assert run.seen[-1] == "uninstall in near"
    assert run.records == []


@pytest.fixture
def switching(run: Runs) -> Runs:
    """A kubeconfig with two contexts; the run looks at the cluster, and then the other context is the current one."""
    config = (run.suite.path / "config.yaml").read_text()
    for title, entry in FAR.items():
        config = config.replace(title, f"{title}\n{entry}")
    run.suite.write(conftest=SWITCHING, config_yaml=config)
    return run


def test_a_run_stays_in_the_context_that_was_the_current_one(switching: Runs, programs: Programs) -> None:
    programs.add("helm", "")
    switching.quick("--mesh=operated", *OPTIONS)
    assert "current-context: far" in (switching.suite.path / "config.yaml").read_text()
    looked_at, installed, cleaned_up = switching.seen
    assert (looked_at, installed) == (cleaned_up, "install")
    (helm,) = programs.called()
    assert "--kube-context=near" in helm.split()
    assert switching.records == []


def test_an_xdist_worker_looks_at_the_same_cluster(switching: Runs) -> None:
    switching.suite.run(*OPTIONS, "--mesh-installed", "-n1", mesh="operated")
    looked_at, looked_at_by_worker, installed = switching.seen
    assert (looked_at, installed) == (looked_at_by_worker, "install")


def test_a_mesh_that_was_there_is_never_removed(run: Runs) -> None:
    result = run("--mesh-installed")
    assert run.seen == ["detect v1.34.4", "install"]
    result.stdout.fnmatch_lines(["meshcheck doctor: 0 errors, 0 warnings, 1 fact"])
    report = json.loads((run.suite.path / "meshcheck-report/operated-2.0/report.json").read_text())
    (finding,) = report["doctor"]
    assert finding["why"] == "no Istio, Linkerd or Cilium found on Kubernetes v1.34.4"


@pytest.mark.parametrize("stuck", [(), (STUCK,)], ids=["", "stuck"])
def test_a_mesh_that_checks_may_disrupt_is_restored_at_the_end(run: Runs, stuck: tuple[str, ...]) -> None:
    run.suite.write(conftest=DISRUPTED, **dict.fromkeys(["stuck_txt"] if stuck else [], STUCK))
    result = run.quick("--mesh=operated", *OPTIONS, "--mesh-installed", "--mesh-allow-disruption")
    assert run.seen == ["detect v1.34.4", "install", "uninstall in near"]
    assert json.loads((run.suite.path / "meshcheck-report/operated-2.0/report.json").read_text())["complete"]
    assert ("operated cannot be restored" in result.stdout.str(), len(run.records)) == (bool(stuck), len(stuck))


def test_one_that_cannot_be_removed_is_left_to_clean(run: Runs) -> None:
    assert run.elsewhere(stuck_txt=STUCK).has(f"operated cannot be uninstalled: {STUCK}; `meshcheck clean` tries again")
    run.package()
    stuck = run.clean()
    assert stuck.code == 1
    assert stuck.has(" in context near (with operated): operated cannot be uninstalled: a finalizer holds")
    (run.suite.path / "stuck.txt").unlink()
    done = run.clean()
    assert done.code == 0
    assert done.has("removed: resources of run ")
    assert run.seen[-3:] == ["uninstall in near", "uninstall in near", "uninstall in near"]
    assert run.records == []


def test_clean_finds_the_kubeconfigs_of_a_run_in_another_folder(run: Runs) -> None:
    by_name = ("--mesh-context=near", "--mesh-probe-image=probe:1")
    run.elsewhere(by_name, "none.yaml:config.yaml", stuck_txt=STUCK)
    assert len(run.records) == 1
    run.package()
    (run.suite.path / "stuck.txt").unlink()
    assert run.clean().has("removed: resources of run ")
    assert run.seen[-2:] == ["uninstall in near", "uninstall in near"]


def test_clean_names_a_mesh_whose_adapter_no_package_provides(run: Runs) -> None:
    run.elsewhere(stuck_txt=STUCK)
    left = run.clean()
    assert left.code == 1
    assert left.has("no installed package provides the mesh operated: install its adapter, or remove")
    assert len(run.records) == 1
