"""Tests of a user's own on a real cluster: examples/shop, and what happens to one that fails."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_meshcheck.platforms.kubernetes.api.resources import Api

from .conftest import Given

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop"
PATIENCE = 600.0
ISTIO = "MESHCHECK_E2E_ISTIO"
"""Options that install Istio in the cluster: where charts and images come from."""

FAILING = """
import pytest
from pytest_meshcheck.suite import ClusterError

POD = '''
apiVersion: v1
kind: Pod
metadata: {{name: talker}}
spec:
  restartPolicy: Never
  containers: [{{name: talker, image: "{image}", command: [python3, -c, "print('said before the end')"]}}]
'''
RBAC = "rbac.authorization.k8s.io/v1"
ROLE = {{"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {{"name": "{role}"}}, "rules": []}}

def test_fails_in_a_block(mesh_cluster):
    with mesh_cluster.namespace() as namespace:
        mesh_cluster.apply(POD, namespace=namespace)
        mesh_cluster.wait("pod/talker", "jsonpath={{.status.phase}}=Succeeded", namespace=namespace)
        assert namespace == "another"

def test_fails_with_a_fixture(mesh_cluster, mesh_namespace):
    mesh_cluster.apply([*__import__("yaml").safe_load_all(POD), ROLE], namespace=mesh_namespace)
    mesh_cluster.wait("pod/talker", "jsonpath={{.status.phase}}=Succeeded", namespace=mesh_namespace)
    mesh_cluster.wait("pod/talker", "condition=Ready", namespace=mesh_namespace, within=0.5)

def test_passes_by_an_error(mesh_cluster):
    with pytest.raises(ClusterError, match="there is no deployment/shop in test-"), mesh_cluster.namespace() as name:
        mesh_cluster.wait("deployment/shop", namespace=name)

def test_says_what_is_wrong(mesh_cluster, mesh_namespace):
    with pytest.raises(ClusterError, match="Pod talker is in no namespace: name one with namespace="):
        mesh_cluster.apply(POD)
    with pytest.raises(ClusterError, match="the cluster knows no Shop of acme.example/v1"):
        mesh_cluster.apply({{"apiVersion": "acme.example/v1", "kind": "Shop", "metadata": {{"name": "a"}}}})
    with pytest.raises(ClusterError, match="`kubectl get shops` ended with 1: error: .* have a resource type"):
        mesh_cluster.kubectl("get", "shops")
    with pytest.raises(ClusterError, match="'shop': write KIND/NAME"):
        mesh_cluster.wait("shop", namespace=mesh_namespace)
    with pytest.raises(ClusterError, match="condition 'Ready': valid are condition=TYPE"):
        mesh_cluster.wait("pod/talker", "Ready", namespace=mesh_namespace)
"""


@dataclass(frozen=True)
class Ran:
    """A run that has ended, and its report's folder."""

    code: int
    output: str
    folder: Path


def run(given: Given, cwd: Path, folder: Path, options: Sequence[str], mesh: str = "none") -> Ran:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    place = [option for option in given.options if "probe-base" not in option]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--mesh={mesh}", *place]
    done = subprocess.run(
        [*command, f"--mesh-report={folder / 'report'}", f"--mesh-kind-load={given.base}", *options],
        cwd=cwd,
        env=kept | {"SHOP_IMAGE": given.base},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ran(done.returncode, done.stdout, folder / "report" / "none-1" / "tests")


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_the_shop_runs_on_a_cluster(given: Given, tmp_path: Path, workers: Sequence[str]) -> None:
    before = given.namespaces()
    ran = run(given, SHOP, tmp_path, ["tests/test_shop.py", "tests/test_coroutines.py", *workers])
    assert ran.code == pytest.ExitCode.OK, ran.output
    assert "4 passed, 2 skipped" in ran.output
    assert "probe image" not in ran.output or workers
    assert given.namespaces() <= before
    assert not (tmp_path / "report").exists()


@pytest.mark.skipif(ISTIO not in os.environ, reason=f"needs the options that install Istio in {ISTIO}")
def test_the_shop_runs_in_istio(given: Given, tmp_path: Path) -> None:
    options = ["tests/test_shop.py", "tests/test_coroutines.py", *shlex.split(os.environ[ISTIO])]
    ran = run(given, SHOP, tmp_path, options, "istio")
    assert ran.code == pytest.ExitCode.OK, ran.output
    assert "6 passed" in ran.output


@pytest.fixture(scope="module")
def failed(given: Given, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Two tests that fail, and two that do not."""
    folder = tmp_path_factory.mktemp("failing")
    text = FAILING.format(image=given.base, role=f"e2e-{os.getpid()}")
    (folder / "test_failing.py").write_text(text)
    (folder / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    return run(given, folder, folder, ["-k", "fails or passes or says"])


def test_errors_are_one_line_each(failed: Ran) -> None:
    assert "2 failed, 2 passed" in failed.output
    (line,) = re.findall(r"^E +.*ClusterError: (pod/talker .*)$", failed.output, re.MULTILINE)
    assert line.startswith("pod/talker does not meet condition=Ready within 0 s: pod talker: ")


@pytest.mark.parametrize("name", ["in_a_block", "with_a_fixture"])
def test_logs_and_events_of_a_failed_test_are_kept(failed: Ran, name: str) -> None:
    (folder,) = failed.folder.glob(f"*test_fails_{name}*")
    assert str(folder) in failed.output
    (log,) = folder.glob("*.talker.talker.log")
    assert "said before the end" in log.read_text()
    (events,) = folder.glob("*.events.log")
    assert "talker" in events.read_text()


def test_nothing_is_kept_of_a_test_that_passes(failed: Ran) -> None:
    assert [path.name for path in failed.folder.iterdir() if "fails" not in path.name] == []


def test_what_was_created_outside_of_namespaces_is_deleted(failed: Ran, given: Given) -> None:
    async def ask() -> object:
        api = await Api.connect(given.kubeconfig, given.context)
        try:
            return await api.read(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/e2e-{os.getpid()}")
        finally:
            await api.close()

    assert failed.code == pytest.ExitCode.TESTS_FAILED
    assert asyncio.run(ask()) is None
