"""The command that a result comes with runs that check again, and no other."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugin.conftest import PATIENCE, Suite

SIBLINGS = '''
@pytest.mark.parametrize("size", ["1", "11", "it's = odd"])
@check(SHOULD, "demo.rule")
async def test_sizes(mesh, size):
    """It is 1."""
    expect(size).equals("1")
    expect(mesh.scale).at_most(2)

@check(MUST, "demo.rule")
async def test_sizes_of_others(mesh):
    """Its name begins as that of another."""
'''

Again = Callable[[str, Path], dict[str, str]]


@pytest.fixture
def again(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Again:
    """Runs the command of a result in a shell, from a folder; returns what was judged."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pytest").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pytest "$@"\n')
    (folder / "pytest").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("TMPDIR", str(suite.temporary))

    def run(command: str, cwd: Path) -> dict[str, str]:
        ran = subprocess.run(
            command, shell=True, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        print(command, ran.stdout, ran.stderr, sep="\n")
        verdicts = suite.verdicts()
        return {name: verdict for name, verdict in verdicts.items() if verdict != "not-run"}

    return run


def test_it_runs_this_check_alone(suite: Suite, again: Again) -> None:
    suite.write(SIBLINGS)
    assert suite.run().code == 1
    results = suite.results()
    for name, verdict in (("sizes[1]", "conforms"), ("sizes[11]", "violates"), ("sizes[it's = odd]", "violates")):
        assert again(results[f"demo/{name}"]["reproduce"], suite.path) == {f"demo/{name}": verdict}


def test_it_has_the_options_that_were_given(suite: Suite, again: Again) -> None:
    suite.write(SIBLINGS, known_toml="", pytest_ini="[pytest]\nmesh_timeout_scale = 3\nmesh_level = must\n")
    suite.run("--mesh-level=may", "--mesh-expectations=known.toml", "--mesh-artifacts=never", "-p", "no:flaky", "-x")
    command = suite.results()["demo/sizes[1]"]["reproduce"]
    assert command == (
        "pytest --mesh=envoy --mesh-level=may --mesh-expectations=known.toml --mesh-artifacts=never "
        "--mesh-timeout-scale=3.0 'demo/test_demo.py::test_sizes[envoy-1]'"
    )
    assert again(command, suite.path) == {"demo/sizes[1]": "violates"}


def test_it_works_from_outside_of_the_suite(suite: Suite, again: Again, tmp_path: Path) -> None:
    inner = Suite(suite.path / "a suite", suite.temporary, suite.token)
    inner.path.mkdir()
    inner.write(SIBLINGS, conftest="pytest_plugins = ()")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    outside = Suite(elsewhere, suite.temporary, suite.token)
    outside.run(str(inner.path), f"--mesh-report={suite.path}/meshcheck-report")
    command = suite.results()["demo/sizes[11]"]["reproduce"]
    assert again(command, elsewhere) == {"demo/sizes[11]": "violates"}


def test_it_has_plugins_and_ini_file(suite: Suite, again: Again) -> None:
    mine = "def pytest_configure(config): print('mine', config.inipath.name)"
    suite.write("conforms", "violates", mine_py=mine, other_ini="[pytest]\nmesh_level = may\n")
    suite.run("-c", "other.ini", "-p", "mine", "-o", "console_output_style=classic", PYTHONPATH=str(suite.path))
    assert suite.results()["demo/violates"]["reproduce"] == (
        "pytest -c other.ini -p mine -o console_output_style=classic --mesh=envoy "
        "'demo/test_demo.py::test_violates[envoy]'"
    )


def test_that_of_the_plugin_s_own_suite_works_anywhere(suite: Suite, again: Again) -> None:
    suite.run("--pyargs", "pytest_meshcheck.conformance", "-k", "mtls/permissive-accepts-both[tcp]")
    command = suite.results()["mtls/permissive-accepts-both[tcp]"]["reproduce"]
    assert command == (
        "pytest --mesh=envoy --pyargs "
        "'pytest_meshcheck.conformance.mtls.test_plaintext::test_permissive_accepts_both[envoy-tcp]'"
    )
    assert again(command, suite.path) == {"mtls/permissive-accepts-both[tcp]": "conforms"}


def test_a_suite_of_another_package_is_named_as_it_was(suite: Suite, again: Again, tmp_path: Path) -> None:
    package = Suite(tmp_path / "acme_checks", suite.temporary, suite.token)
    package.path.mkdir()
    package.write("conforms", "violates")
    for folder in (package.path, package.path / "demo"):
        (folder / "__init__.py").touch()
    (package.path / "pytest.ini").unlink()
    ran = suite.run("--pyargs", "acme_checks", PYTHONPATH=str(tmp_path))
    command = suite.results()["demo/violates"]["reproduce"]
    assert command == "pytest --mesh=envoy --pyargs 'acme_checks.demo.test_demo::test_violates[envoy]'", ran.output
    assert again(f"PYTHONPATH={tmp_path} {command}", suite.path) == {"demo/violates": "violates"}
