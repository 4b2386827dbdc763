"""What ``meshcheck clean`` takes for left behind, and what it never touches."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.cleanup import run_records as registration
from pytest_meshcheck.platforms.cleanup.leftovers import finished, in_cluster, left_by_dead_runs
from pytest_meshcheck.platforms.cleanup.run_records import KeptCluster, OwnCluster, Registration, Where
from pytest_meshcheck.platforms.containers import DOCKER_CONFIG, DOCKER_CONTEXT, DOCKER_HOST
from pytest_meshcheck.platforms.kind.cluster import Kind
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import NamedCluster
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN
from pytest_meshcheck.platforms.run_directory import RunDirectory
from tests.plugin.recorded import api_server, recorded
from tests.programs import Programs

LIVING = """
import msgspec, sys
from pytest_meshcheck.platforms.cleanup.run_records import RunRecord, Registration
record = msgspec.json.decode(sys.argv[1], type=RunRecord)
held = Registration.begin(record.run, record.where)
print("held", flush=True)
sys.stdin.read()
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: near
clusters: [{name: near, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: near, context: {cluster: near, user: me}}]
users: [{name: me, user: {token: abc}}]
"""

Clean = Callable[..., tuple[int, str]]


@contextmanager
def living(run: str, where: Where) -> Iterator["subprocess.Popen[str]"]:
    """A run that has made this, and lives."""
    record = registration.msgspec.json.encode(registration.RunRecord(run, where)).decode()
    process = subprocess.Popen(
        [sys.executable, "-c", LIVING, record], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def dead(run: str, where: Where) -> None:
    """A run that has made this, and was killed."""
    with living(run, where) as process:
        process.send_signal(signal.SIGKILL)


@pytest.fixture
def clusters(programs: Programs) -> Path:
    """What kind says that there is: a line per cluster; one that is deleted goes."""
    there = programs.path / "clusters"
    there.touch()
    delete = f"/bin/grep -vx -- $4 {there} > {there}.new; /bin/mv {there}.new {there}"
    programs.add("kind", f"case $1 in get) /bin/cat {there};; delete) {delete};; esac")
    programs.add("docker", "")
    return there


@pytest.fixture
def clean(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clean:
    """Runs ``meshcheck clean``: exit code, and what it says."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["clean", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_nothing_is_left(clean: Clean, clusters: Path) -> None:
    assert clean() == (0, "")
    assert clean("--dry-run") == (0, "nothing to remove\n")


def test_the_cluster_of_a_dead_run_is_removed(clean: Clean, clusters: Path, records: Path) -> None:
    clusters.write_text("mine\nmeshcheck-0a1b2c\n")
    dead("0a1b2c", OwnCluster("meshcheck-0a1b2c"))
    assert left_by_dead_runs() == ["kind cluster meshcheck-0a1b2c"]
    assert clean("--dry-run") == (0, "would be removed: kind cluster meshcheck-0a1b2c\n")
    assert clean() == (0, "removed: kind cluster meshcheck-0a1b2c\n")
    assert clusters.read_text() == "mine\n"
    assert not list(records.glob("*.json"))
    assert clean() == (0, "")


@pytest.mark.parametrize("arguments", [(), ("--all",)], ids=["", "all"])
def test_the_cluster_of_a_living_run_is_not_touched(clean: Clean, clusters: Path, arguments: tuple[str, ...]) -> None:
    clusters.write_text("meshcheck-0a1b2c\n")
    with living("0a1b2c", OwnCluster("meshcheck-0a1b2c")):
        assert left_by_dead_runs() == []
        assert clean(*arguments) == (0, "")
    assert clusters.read_text() == "meshcheck-0a1b2c\n"


def test_a_kept_cluster_goes_only_with_all_and_not_while_it_is_used(
    clean: Clean, clusters: Path, records: Path
) -> None:
    clusters.write_text("meshcheck-kept-0a1b2c\n")
    doubt = "--mesh-keep=always keeps it for the next run"
    assert clean() == (0, f"kept: kind cluster meshcheck-kept-0a1b2c ({doubt}); --all removes it\n")
    with living("aaaaaa", KeptCluster("meshcheck-kept-0a1b2c")):
        assert clean("--all") == (0, "")
    (records / "aaaaaa.kept-cluster.json").unlink()
    assert clean("--all") == (0, "removed: kind cluster meshcheck-kept-0a1b2c\n")
    assert clusters.read_text() == ""


def test_a_cluster_that_a_living_run_was_pointed_to_is_not_touched(clean: Clean, clusters: Path) -> None:
    clusters.write_text("meshcheck-0a1b2c\n")
    dead("0a1b2c", OwnCluster("meshcheck-0a1b2c"))
    with living("bbbbbb", NamedCluster("kind-meshcheck-0a1b2c")):
        assert clean()[1] == "error: cannot remove kind cluster meshcheck-0a1b2c: run bbbbbb uses it\n"
    assert clean()[0] == 0


def test_a_cluster_without_a_record_may_be_anybodys(clean: Clean, clusters: Path) -> None:
    clusters.write_text("meshcheck-0a1b2c\n")
    code, said = clean()
    assert code == 0
    assert said.startswith("kept: kind cluster meshcheck-0a1b2c (it has no run record")
    assert clean("--all", "--dry-run") == (0, "would be removed: kind cluster meshcheck-0a1b2c\n")
    assert clean("--all") == (0, "removed: kind cluster meshcheck-0a1b2c\n")


def test_a_cluster_that_stays_keeps_its_record(clean: Clean, programs: Programs, clusters: Path) -> None:
    clusters.write_text("meshcheck-0a1b2c\n")
    dead("0a1b2c", OwnCluster("meshcheck-0a1b2c"))
    programs.add("docker", "[ $1 = rm ] || echo 0123")
    code, said = clean()
    assert code == 1
    assert "cannot remove kind cluster meshcheck-0a1b2c: the kind cluster meshcheck-0a1b2c is left" in said
    programs.add("docker", "")
    clusters.write_text("meshcheck-0a1b2c\n")
    assert clean() == (0, "removed: kind cluster meshcheck-0a1b2c\n")


def test_a_kind_that_does_not_answer_makes_nobody_forget(clean: Clean, programs: Programs, records: Path) -> None:
    dead("0a1b2c", OwnCluster("meshcheck-0a1b2c"))
    programs.add("kind", "echo 'ERROR: daemon is not running' >&2; exit 1")
    code, said = clean()
    assert code == 4
    assert "kind does not work: ERROR: daemon is not running: start docker" in said
    assert "--mesh-" not in said, "an option that the command does not have"
    assert len(list(records.glob("*.json"))) == 1


def test_a_creation_that_was_cut_short_is_not_taken_for_a_kept_cluster(clusters: Path, records: Path) -> None:
    clusters.write_text("meshcheck-kept-0a1b2c\n")
    assert finished(Kind("meshcheck-kept-0a1b2c"))
    dead("aaaaaa", OwnCluster("meshcheck-kept-0a1b2c"))
    assert not finished(Kind("meshcheck-kept-0a1b2c"))
    assert not list(records.glob("*.json"))


ENGINES = {
    # variables of a run: those that clean names
    "KIND_EXPERIMENTAL_PROVIDER=podman": "KIND_EXPERIMENTAL_PROVIDER=podman",
    "DOCKER_HOST=tcp://far:2375": "KIND_EXPERIMENTAL_PROVIDER=docker DOCKER_HOST=tcp://far:2375",
    "DOCKER_CONTEXT=far": "KIND_EXPERIMENTAL_PROVIDER=docker DOCKER_HOST= DOCKER_CONTEXT=far",
    "DOCKER_CONFIG={}": "KIND_EXPERIMENTAL_PROVIDER=docker DOCKER_HOST= DOCKER_CONTEXT=chosen",
}


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which docker has its default daemon; the configuration in tmp_path chooses another one."""
    for variable in (DOCKER_HOST, DOCKER_CONTEXT):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(DOCKER_CONFIG, "nowhere")
    (tmp_path / "config.json").write_text('{"auths": {}, "currentContext": "chosen"}')


@pytest.mark.usefixtures("plain", "clusters")
@pytest.mark.parametrize("variable", ENGINES)
@pytest.mark.parametrize("where", [OwnCluster("meshcheck-0a1b2c"), KeptCluster("meshcheck-kept-0a1b2c")])
def test_what_another_container_engine_runs_is_kept(
    clean: Clean, records: Path, where: OwnCluster | KeptCluster, variable: str, tmp_path: Path
) -> None:
    name, _, value = variable.format(tmp_path).partition("=")
    with pytest.MonkeyPatch.context() as there:
        there.setenv(name, value)
        dead("0a1b2c", where)
    what = f"kind cluster {where.name}"
    if isinstance(where, KeptCluster):
        what = f"namespaces of run 0a1b2c in {what}"
    why = f"it is managed by another container engine: set {ENGINES[variable]}"
    assert clean() == (0, f"kept: record of {what} ({why}); --all removes it\n")
    assert left_by_dead_runs() == [what]
    assert len(list(records.glob("*.json"))) == 1
    with pytest.MonkeyPatch.context() as there:
        there.setenv(name, value)
        assert clean() == (0, f"removed: record of {what}, which is gone\n")


@pytest.mark.usefixtures("plain")
def test_a_cut_short_creation_by_another_container_engine_stays_on_record(
    clusters: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead("aaaaaa", OwnCluster("meshcheck-kept-0a1b2c"))
    monkeypatch.setenv(DOCKER_HOST, "tcp://far:2375")
    assert not finished(Kind("meshcheck-kept-0a1b2c"))
    assert list(records.glob("*.json"))


def test_a_record_of_an_older_version_is_of_the_engine_at_hand(clean: Clean, clusters: Path, records: Path) -> None:
    clusters.write_text("meshcheck-0a1b2c\n")
    records.mkdir(parents=True)
    where = {"type": "own-cluster", "name": "meshcheck-0a1b2c"}
    (records / "0a1b2c.own-cluster.json").write_text(json.dumps({"run": "0a1b2c", "where": where, "meshes": []}))
    assert clean() == (0, "removed: kind cluster meshcheck-0a1b2c\n")
    assert clusters.read_text() == ""


def test_the_folder_of_a_dead_run_is_removed(clean: Clean, clusters: Path, tmp_path: Path) -> None:
    alive, dead = RunDirectory(), RunDirectory()
    os.close(dead._lock)
    assert clean() == (0, f"removed: folder {dead.path}\n")
    assert alive.path.exists()
    alive.close()


def test_namespaces_in_a_cluster_that_is_away_keep_their_record(
    clean: Clean, clusters: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_meshcheck.platforms.cleanup.leftovers.REACHABLE_WITHIN", 0.5)
    (tmp_path / "config").write_text(KUBECONFIG)
    dead("0a1b2c", NamedCluster("near", str(tmp_path / "config")))
    assert left_by_dead_runs() == ["resources of run 0a1b2c in context near"]
    code, said = clean()
    assert code == 1
    assert "cannot remove resources of run 0a1b2c in context near: still there: those labelled " in said
    assert "meshcheck.dev/run=0a1b2c (Cannot connect to host 127.0.0.1:9" in said
    assert len(list(records.glob("*.json"))) == 1


def test_namespaces_in_a_cluster_that_is_gone_for_good_are_forgotten_on_demand(
    clean: Clean, clusters: Path, records: Path, tmp_path: Path
) -> None:
    dead("0a1b2c", NamedCluster("far", str(tmp_path / "config")))
    code, said = clean()
    assert (code, said.partition(" (")[0]) == (0, "kept: record of resources of run 0a1b2c in context far")
    assert clean("--all") == (0, "removed: record of resources of run 0a1b2c in context far\n")
    assert not list(records.glob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kubeconfig", "nowhere"), "error: --kubeconfig=nowhere: no such file\n"),
        (("--context", "far"), "error: the default kubeconfig "),
    ],
)
def test_a_cluster_that_cannot_be_had(
    clean: Clean, clusters: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", "nowhere")
    code, output = clean(*arguments)
    assert code == 4
    assert said in output


def test_namespaces_are_removed_where_they_were_found(clusters: Path, records: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    left = recorded("/api/v1/namespaces", "blue-0a1b2c", labels={RUN: "0a1b2c"})
    with api_server((left,)) as (server, changes):
        content = yaml.safe_load(KUBECONFIG.replace("http://127.0.0.1:9", server))
        content["contexts"].append({"name": "far", "context": {"cluster": "far", "user": "me"}})
        content["clusters"].append({"name": "far", "cluster": {"server": "http://127.0.0.1:9"}})
        config.write_text(yaml.safe_dump(content))
        (leftover,) = in_cluster(config, None)
        config.write_text(yaml.safe_dump(content | {"current-context": "far"}))
        leftover.remove()
    assert changes == ["DELETE /api/v1/namespaces/blue-0a1b2c?propagationPolicy=Background"]


def test_what_another_version_has_written_down_is_left_to_it(clean: Clean, clusters: Path, records: Path) -> None:
    records.mkdir(parents=True)
    (records / "0a1b2c.moon.json").write_text(json.dumps({"run": "0a1b2c", "where": {"type": "moon"}}))
    assert clean() == (0, "")


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(MeshUnavailable, match="cannot be written: Not a directory; name another place with"):
        Registration.begin("0a1b2c", OwnCluster("meshcheck-0a1b2c"))


def test_no_other_run_touches_a_cluster_that_is_reserved(records: Path) -> None:
    name = "meshcheck-test"
    module = "pytest_meshcheck.platforms.cleanup.run_records"
    begun = f"import sys; from {module} import reserved\nwith reserved(sys.argv[1]): print(1)"
    with registration.reserved(name):
        other = subprocess.Popen([sys.executable, "-c", begun, name], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.0)
    assert other.communicate(timeout=30)[0] == b"1\n"
