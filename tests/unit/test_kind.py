"""What is said where kind or docker is not what it has to be, and what an interrupted creation leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_meshcheck.platforms import kind
from pytest_meshcheck.platforms.kind import Kind, kept_name
from pytest_meshcheck.stage.faults import Inconclusive, MeshUnavailable

CREATING = """
import sys
from pathlib import Path
from pytest_meshcheck.platforms.kind import Kind
Kind("meshcheck-test").create(Path(sys.argv[1]))
"""


class Programs:
    """The only programs on the PATH: scripts that write down how they are called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = path / "calls"

    def add(self, name: str, script: str) -> None:
        program = self.path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        program.chmod(0o755)

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Programs(tmp_path)


@pytest.mark.parametrize(
    ("scripts", "said"),
    [
        ({}, r"no program kind on the PATH: install it \(https://.*--mesh-context"),
        ({"kind": "echo kind v0.19.9 go1.20"}, "kind 0.19 is too old, 0.20 or newer is needed"),
        ({"kind": "echo nonsense"}, "tells no version but 'nonsense'"),
        ({"kind": "echo kind v0.30.0"}, "no program docker on the PATH"),
        (
            {"kind": "echo kind v0.30.0", "docker": "echo permission denied >&2; exit 1"},
            "docker does not work: permission denied: start docker, or get the right to use it",
        ),
    ],
)
def test_what_is_missing_is_said(programs: Programs, scripts: dict[str, str], said: str) -> None:
    for name, script in scripts.items():
        programs.add(name, script)
    with pytest.raises(MeshUnavailable, match=said):
        kind.require()


def test_a_machine_that_can_have_clusters(programs: Programs) -> None:
    programs.add("kind", "echo kind v1.2.0 go1.30 linux/amd64")
    programs.add("docker", "echo 29.0.0")
    kind.require()


def test_a_creation_that_fails_says_why_and_leaves_nothing(programs: Programs, tmp_path: Path) -> None:
    script = '[ $1 = delete ] || { echo " • Preparing nodes ..."; echo "ERROR: no such image" >&2; exit 1; }'
    programs.add("kind", script)
    with pytest.raises(Inconclusive, match="kind cannot create the cluster meshcheck-test: ERROR: no such image"):
        Kind("meshcheck-test", image="node:v0").create(tmp_path / "kubeconfig")
    created, deleted = programs.called()
    assert "--image node:v0" in created
    assert deleted.startswith("kind delete cluster --name meshcheck-test")


def test_an_interrupted_creation_leaves_nothing(programs: Programs, tmp_path: Path) -> None:
    programs.add("kind", "[ $1 = delete ] || exec /bin/sleep 600")
    creating = subprocess.Popen([sys.executable, "-c", CREATING, tmp_path / "kubeconfig"], stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while not programs.called() and time.monotonic() < until:
        time.sleep(0.02)
    creating.send_signal(signal.SIGINT)
    _, said = creating.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    assert [call.split()[1] for call in programs.called()] == ["create", "delete"]


def test_a_cluster_that_is_kept_is_found_by_what_it_is_made_of(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("kind: Cluster\n")
    names = {kept_name(None, None), kept_name("node:1", None), kept_name("node:2", None), kept_name("node:1", config)}
    assert len(names) == 4
    assert kept_name("node:1", config) in names


def test_no_other_run_touches_a_cluster_that_is_reserved(programs: Programs) -> None:
    cluster = Kind(f"meshcheck-test-{os.getpid()}")
    begun = "import sys; from pytest_meshcheck.platforms.kind import Kind\nwith Kind(sys.argv[1]).reserved(): print(1)"
    with cluster.reserved():
        other = subprocess.Popen([sys.executable, "-c", begun, cluster.name], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.0)
    assert other.communicate(timeout=30)[0] == b"1\n"
