"""What is said where kind or docker is not what it has to be, and what an interrupted creation leaves."""

import ast
import json
import signal
import subprocess
import sys
import time
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import pytest_meshcheck
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.containers import PROVIDER, provider
from pytest_meshcheck.platforms.kind import cluster as kind
from pytest_meshcheck.platforms.kind.cluster import Kind, kept_name
from pytest_meshcheck.platforms.kind.probe_image import PACKAGES, Recipe, probe_image
from tests.programs import Programs

CREATING = """
import sys
from pathlib import Path
from pytest_meshcheck.platforms.kind.cluster import Kind
Kind("meshcheck-test").create(Path("nowhere"))
"""


@pytest.mark.parametrize(
    ("scripts", "said"),
    [
        ({}, r"no program kind on the PATH: install it \(https://.*--mesh-context"),
        ({"kind": "echo kind v0.19.9 go1.20"}, "kind 0.19 is too old, 0.20 or newer is needed"),
        ({"kind": "echo nonsense"}, "reports 'nonsense' instead of a version"),
        ({"kind": "echo kind v0.30.0"}, "no program docker on the PATH"),
        (
            {"kind": "echo kind v0.30.0", "podman": "echo cannot connect >&2; exit 125"},
            "podman does not work: cannot connect: start podman, or get the right to use it",
        ),
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
    programs.add("docker", "echo 0123456789ab")
    kind.require()


def test_a_creation_that_fails_says_why_and_leaves_nothing(programs: Programs, tmp_path: Path) -> None:
    said = r" • Preparing nodes ...\nERROR: no such image\nCommand Output: denied\n"
    script = f'[ $1 = delete ] || {{ printf "{said}" >&2; exit 1; }}'
    programs.add("kind", script)
    programs.add("docker", "")
    with pytest.raises(
        Inconclusive, match="kind cannot create the cluster meshcheck-test: ERROR: no such image Command Output: denied"
    ):
        Kind("meshcheck-test", image="node:v0").create(tmp_path / "kubeconfig")
    created, deleted, listed = programs.called()
    assert "--image node:v0" in created
    assert deleted.startswith("kind delete cluster --name meshcheck-test")
    assert listed == "docker ps --all --quiet --filter label=io.x-k8s.kind.cluster=meshcheck-test"


def test_an_interrupted_creation_leaves_nothing(programs: Programs) -> None:
    programs.add("kind", "[ $1 = delete ] || exec /bin/sleep 600")
    programs.add("docker", "")
    creating = subprocess.Popen([sys.executable, "-c", CREATING], stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while not programs.called() and time.monotonic() < until:
        time.sleep(0.02)
    creating.send_signal(signal.SIGINT)
    _, said = creating.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    assert [call.split()[1] for call in programs.called()] == ["create", "delete", "ps"]


def test_what_an_interrupted_program_has_begun_is_finished_before_it_is_undone(programs: Programs) -> None:
    programs.add("container", f"/bin/sleep 1; echo made >> {programs.calls}")
    programs.add("kind", "[ $1 = delete ] || { container & exec /bin/sleep 600; }")
    programs.add("docker", "")
    creating = subprocess.Popen([sys.executable, "-c", CREATING], stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while "container " not in programs.called() and time.monotonic() < until:
        time.sleep(0.02)
    creating.send_signal(signal.SIGINT)
    creating.communicate(timeout=30)
    assert programs.called()[2:4] == ["made", "kind delete cluster --name meshcheck-test --kubeconfig nowhere"]


def test_nodes_that_kind_does_not_remove_are_removed(programs: Programs, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.touch()
    programs.add("kind", "")
    programs.add("docker", f"case $1 in ps) [ ! -f {left} ] || echo 0123;; rm) /bin/rm {left};; esac")
    assert not Kind("meshcheck-test").delete()
    assert "docker rm --force --volumes 0123" in programs.called()


def test_nodes_that_cannot_be_removed_are_named(programs: Programs) -> None:
    programs.add("kind", "echo 'ERROR: failed to delete nodes' >&2; exit 1")
    programs.add("docker", "[ $1 = rm ] || echo 0123")
    said = Kind("meshcheck-test").delete()
    assert said == "the kind cluster meshcheck-test is left: ERROR: failed to delete nodes; containers 0123"


@pytest.mark.parametrize(
    ("installed", "asked", "used"),
    [
        (("docker", "podman"), "", "docker"),
        (("podman",), "", "podman"),
        (("nerdctl", "podman"), "", "nerdctl"),
        (("docker", "podman"), "podman", "podman"),
        ((), "finch", "finch"),
        ((), "", "docker"),
    ],
)
def test_nodes_are_run_by_the_program_that_kind_takes(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], asked: str, used: str
) -> None:
    for name in installed:
        programs.add(name, "")
    monkeypatch.setenv(PROVIDER, asked)
    assert provider() == used


def test_a_program_that_kind_does_not_know(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROVIDER, "rkt")
    with pytest.raises(MeshUnavailable, match="KIND_EXPERIMENTAL_PROVIDER=rkt: valid are docker, nerdctl, podman, "):
        provider()


def test_with_podman_nothing_is_asked_of_docker(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected = json.dumps([{"Architecture": "amd64"}])
    programs.add("kind", "echo kind v0.30.0")
    programs.add("podman", f"case $1 in run) echo 3.11;; image) echo '{inspected}';; esac")
    programs.add("docker", "exit 1")
    monkeypatch.setenv(PROVIDER, "podman")
    kind.require()
    image = probe_image("python:3.11-slim")
    assert image == Recipe("python:3.11-slim", "3.11", "amd64").tag
    Kind("meshcheck-test").load(image)
    Kind("meshcheck-test").delete()
    called = programs.called()
    assert not [call for call in called if call.startswith("docker ")]
    saved, loaded = (next(call for call in called if word in call) for word in (" save ", " load "))
    archive = saved.split()[3]
    assert saved == f"podman save --output {archive} {image}"
    assert loaded == f"kind load image-archive {archive} --name meshcheck-test"
    assert not Path(archive).parent.exists()


def test_a_cluster_that_is_kept_is_found_by_what_it_is_made_of(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("kind: Cluster\n")
    names = {kept_name(None, None), kept_name("node:1", None), kept_name("node:2", None), kept_name("node:1", config)}
    assert len(names) == 4
    assert kept_name("node:1", config) in names


@pytest.mark.parametrize(
    ("config", "wait"),
    [
        ("kind: Cluster\n", "180s"),
        ("networking: {disableDefaultCNI: false}\n", "180s"),
        ("networking:\n  disableDefaultCNI: true\n", "0s"),
    ],
)
def test_nobody_waits_for_nodes_that_have_no_network_yet(
    programs: Programs, tmp_path: Path, config: str, wait: str
) -> None:
    programs.add("kind", "exit 0")
    file = tmp_path / "kind.yaml"
    file.write_text(config)
    Kind("meshcheck-test", config=file).create(tmp_path / "kubeconfig")
    assert f" --wait {wait} --config {file}" in programs.called()[0]


def test_a_configuration_that_is_no_yaml(programs: Programs, tmp_path: Path) -> None:
    programs.add("kind", "exit 0")
    file = tmp_path / "kind.yaml"
    file.write_text("nodes: [")
    with pytest.raises(Inconclusive, match=r"the kind configuration .*kind\.yaml cannot be read"):
        Kind("meshcheck-test", config=file).create(tmp_path / "kubeconfig")


def test_an_image_has_every_package_that_a_probe_imports() -> None:
    probe = Path(pytest_meshcheck.__file__).parent / "probe"
    nodes = [node for file in probe.rglob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) if node.module}
    roots = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"pytest_meshcheck"}
    assert {packages_distributions()[root][0] for root in roots} <= set(PACKAGES)
