"""Tests of a user's own get the cluster with the mesh, and nothing else is started for them."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Quick, Suite
from .recorded import api_server
from .test_cluster import KUBECONFIG

OWN = """
import asyncio, pytest

def test_own(mesh_cluster, request):
    assert (mesh_cluster.name, mesh_cluster.context) == ("near", "near")
    assert (mesh_cluster.mesh, mesh_cluster.version) == ("none", "1")
    assert mesh_cluster.kubeconfig.endswith("config.yaml")

@pytest.mark.asyncio
async def test_in_a_loop_of_its_own(mesh_cluster):
    assert mesh_cluster.aio.cluster is mesh_cluster
"""
LOOP = """
@pytest.mark.asyncio
async def test_one(mesh_cluster):
    loops.append(asyncio.get_running_loop())

@pytest.mark.asyncio
async def test_other(mesh_cluster):
    assert asyncio.get_running_loop() is not loops[0]
"""
ON_CLUSTER = ("--mesh=none", "--mesh-kubeconfig=config.yaml", "--mesh-context=near")


@pytest.fixture
def changes(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A cluster that pulls its images, and whatever was to be changed in it; the suite has tests that are no checks."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with api_server(()) as (server, changed):
        suite.write(test_own_py=OWN, config_yaml=KUBECONFIG.format(port=server.rpartition(":")[2]))
        yield changed


def test_nothing_is_made_for_them(suite: Suite, quick: Quick, changes: list[str]) -> None:
    quick(*ON_CLUSTER).assert_outcomes(passed=2)
    assert changes == []
    assert not (suite.path / "meshcheck-report").exists()


def test_xdist_needs_no_probe_image_for_them(suite: Suite, changes: list[str]) -> None:
    run = suite.run(*ON_CLUSTER[1:], "-n1", mesh="none")
    assert run.code == pytest.ExitCode.OK, run.output
    assert changes == []


def test_xdist_refuses_checks_that_have_no_probe_image(suite: Suite, changes: list[str]) -> None:
    suite.write("conforms", config_yaml=(suite.path / "config.yaml").read_text())
    run = suite.run(*ON_CLUSTER[1:], "-n1", mesh="none")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert run.has("ERROR: an existing cluster pulls the probe image from a registry: name one with")
    assert changes == []


def test_a_coroutine_stays_in_its_own_loop(suite: Suite, quick: Quick, changes: list[str]) -> None:
    (suite.path / "test_own.py").write_text(f"import asyncio, pytest\nloops = []\n{LOOP}")
    quick(*ON_CLUSTER).assert_outcomes(passed=2)


def test_local_processes_are_no_cluster(suite: Suite, quick: Quick) -> None:
    suite.write(
        test_own_py="def test_own(mesh_cluster): pass",
        conftest="def pytest_meshcheck_envoy_resources(): raise RuntimeError('the mesh was started')",
    )
    result = quick("--mesh=envoy")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "mesh_cluster: --mesh=envoy runs as local processes, without a cluster: select a mesh on Kubernetes, "
            "such as --mesh=istio"
        ]
    )
    result.stdout.no_fnmatch_line("*the mesh was started*")


@pytest.mark.parametrize("fixture", ["mesh_cluster", "mesh_namespace"])
def test_without_a_mesh_they_say_what_to_add(suite: Suite, quick: Quick, fixture: str) -> None:
    suite.write(test_own_py=f"def test_own({fixture}): pass\ndef test_else(): pass")
    result = quick()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        ["mesh_cluster: no mesh is selected: add --mesh=NAME, or `mesh = NAME` to the ini file"]
    )


def test_a_missing_client_is_named_before_anything_is_made(
    quick: Quick, changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "kr8s" else found(name, *more))
    result = quick(*ON_CLUSTER)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: mesh_cluster needs kr8s, which is not installed: pip install 'pytest-meshcheck[[]cluster]'"]
    )
    assert changes == []


def test_a_run_without_the_mesh_makes_no_cluster(suite: Suite, quick: Quick, changes: list[str]) -> None:
    suite.write(test_own_py="def test_own(): pass", config_yaml=(suite.path / "config.yaml").read_text())
    result = quick(*ON_CLUSTER, "-v")
    result.assert_outcomes(passed=1)
    assert "ready" not in result.stdout.str()


def test_they_run_beside_the_checks_of_their_mesh(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", test_own_py="def test_own(mesh_session): pass")
    result = quick("--mesh=envoy", "--mesh=envoy@1.36.2", "--collect-only", "-q")
    meshes = [line.rpartition("[")[2].rstrip("]") for line in result.outlines if "::" in line]
    assert meshes == ["envoy", "envoy", "envoy@1.36.2", "envoy@1.36.2"]


def test_kr8s_is_led_past_a_proxy_as_kubectl_would_go(
    suite: Suite, changes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_meshcheck.testbed.cluster_access import Access  # noqa: PLC0415 - its client reads HOME once

    monkeypatch.setenv("NO_PROXY", "example.org")
    access = Access(Path(suite.path / "config.yaml"), "near")
    assert set(access.past_proxy().values()) == {"example.org,127.0.0.1"}
