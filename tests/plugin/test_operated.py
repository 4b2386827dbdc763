"""A mesh that an operator installs, not Helm: looked at before a run makes anything, removed after it."""

from pathlib import Path

import pytest

from .conftest import Quick, Suite
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
        self.note(f"uninstall in {self.platform.attachment.context or 'the current context'}")

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

def pytest_meshcheck_register_mesh(registry):
    registry.register("operated", Operated)
"""


class Runs:
    def __init__(self, suite: Suite, quick: Quick) -> None:
        self.suite, self.quick = suite, quick

    def __call__(self, *options: str, mesh: str = "operated", **files: str) -> pytest.RunResult:
        with api_server(()) as (server, _):
            self.suite.write("served", conftest=MESH, config_yaml=KUBECONFIG.format(server=server), **files)
            return self.quick(f"--mesh={mesh}", "--mesh-kubeconfig=config.yaml", "--mesh-probe-image=probe:1", *options)

    @property
    def seen(self) -> list[str]:
        return (Path(self.suite.path) / "seen.txt").read_text().splitlines()


@pytest.fixture
def run(suite: Suite, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Runs(suite, quick)


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
    assert run.seen[-1] == "uninstall in the current context"
