"""Manifests of a user: what a run says of them before it makes anything, and what it refuses with exit code 4."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.object_store import KUBECONFIG

from .conftest import Quick, Suite
from .recorded import api_server, recorded

MANIFESTS = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
SAID = [
    "manifests for none: 1 stand-ins, 1 services, 0 mesh resources, 0 left out",
    "  namespace of its own, for objects that name none: not among the manifests, so part of the mesh",
    "  stand-in web for Pod (k8s.yaml:2), ports 8080 http/1.1",
    "  service web:80 http/1.1 (protocol undeclared) -> web",
    "*test_access?none-web:80?*",
]


@pytest.fixture
def manifests(suite: Suite) -> Path:
    suite.write("conforms", k8s_yaml=MANIFESTS)
    return suite.path / "k8s.yaml"


def test_what_is_made_is_said_while_nothing_is_made(manifests: Path, quick: Quick) -> None:
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only")
    result.stdout.fnmatch_lines(SAID)
    assert result.ret == 0
    assert "test_conforms" not in result.stdout.str()


def test_a_path_of_tests_selects_those(manifests: Path, quick: Quick, suite: Suite) -> None:
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only", str(suite.path))
    assert "test_conforms" in result.stdout.str()
    assert "test_access" not in result.stdout.str()


def test_manifests_are_read_from_standard_input(manifests: Path, suite: Suite) -> None:
    command = [sys.executable, "-m", "pytest", "--mesh=none", "--mesh-manifests=-", "--collect-only", "-p", "no:xdist"]
    done = subprocess.run(command, input=MANIFESTS, cwd=suite.path, capture_output=True, text=True, check=False)
    assert "stand-in web for Pod (-:2), ports 8080 http/1.1" in done.stdout
    assert done.returncode == 0


REFUSED = {
    # case: options, what is said
    "no-file": (["--mesh=none", "--mesh-manifests=k9s"], "k9s: no such file or directory; - reads standard input."),
    "no-cluster": (
        ["--mesh=envoy", "--mesh-manifests=k8s.yaml"],
        ": --mesh=envoy runs as local processes, without a cluster for the manifests: select a mesh on Kubernetes, *",
    ),
    "malformed": (["--mesh=none", "--mesh-manifests=pytest.ini"], ": pytest.ini:1: *"),
    "before-charts-are-looked-for": (
        ["--mesh=istio", "--mesh-charts=.", "--mesh-manifests=pytest.ini"],
        ": pytest.ini:1: *",
    ),
    "twice": (["--mesh=none", "--mesh-manifests=k8s.yaml", "--mesh-manifests=k8s.yaml"], ": k8s.yaml:2: Pod web is *"),
    "two-processes": (
        ["--mesh=none", "--mesh-manifests=k8s.yaml", "-n", "2"],
        ": the namespaces of the manifests exist once, so one process has all of them: take -n 1",
    ),
}


@pytest.mark.parametrize("collect", [[], ["--collect-only"]], ids=["run", "collect"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_on_trial_is_refused(case: str, collect: list[str], manifests: Path, quick: Quick) -> None:
    options, said = REFUSED[case]
    result = quick(*options, *collect)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --mesh-manifests{'=' if case == 'no-file' else ''}{said}"])


def expect(manifests: Path, expected: str) -> None:
    """Put manifests in a directory of their own, and what is expected beside them."""
    folder = manifests.parent / "k8s"
    folder.mkdir()
    manifests.rename(folder / "k8s.yaml")
    (folder / "meshcheck.toml").write_text(expected)


def test_what_is_expected_beside_the_manifests_is_checked(manifests: Path, quick: Quick) -> None:
    expect(manifests, '[[access]]\nto = "web:80"\nfrom = ["web"]\n')
    result = quick("--mesh=none", "--mesh-manifests=k8s", "--collect-only")
    result.stdout.fnmatch_lines(
        ["expected (k8s/meshcheck.toml): 1 access", "*test_access_is_as_expected?none-web:80?*"]
    )
    assert result.ret == 0


def test_what_is_expected_of_manifests_that_are_piped_is_named(manifests: Path, suite: Suite) -> None:
    (suite.path / "expected.toml").write_text('plaintext = "refused"\n')
    options = ["--mesh=none", "--mesh-manifests=-", "--mesh-manifests-expect=expected.toml", "--collect-only", "-q"]
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:xdist"]
    done = subprocess.run(command, input=MANIFESTS, cwd=suite.path, capture_output=True, text=True, check=False)
    assert "test_access_is_as_expected[none-web:80]" in done.stdout
    assert done.returncode == 0


def test_without_expectations_there_is_no_check_of_them(manifests: Path, quick: Quick) -> None:
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only")
    assert "test_expected.py" not in result.stdout.str()
    assert "expected:" not in result.stdout.str()


@pytest.mark.parametrize("collect", [[], ["--collect-only"]], ids=["run", "collect"])
def test_what_cannot_be_expected_is_refused(collect: list[str], manifests: Path, quick: Quick) -> None:
    expect(manifests, '[[access]]\nto = "web:8080"\nfrom = ["web"]\n')
    result = quick("--mesh=none", "--mesh-manifests=k8s", *collect)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "k8s/meshcheck.toml:2: no port 'web:8080' in these manifests; did you mean 'web:80'?"
    result.stderr.fnmatch_lines([f"ERROR: --mesh-manifests: {said}"])


@pytest.mark.parametrize("option", ["--mesh-manifests-expect=expected.toml", "--mesh-manifests-only=web"])
def test_options_about_manifests_are_refused_without_any(option: str, suite: Suite, quick: Quick) -> None:
    (suite.path / "expected.toml").touch()
    result = quick("--mesh=none", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = option.partition("=")[0]
    result.stderr.fnmatch_lines([f"ERROR: {name} is about manifests: name them with --mesh-manifests=PATH"])


def test_a_part_of_the_manifests_is_tried(manifests: Path, quick: Quick) -> None:
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--mesh-manifests-only=web", "--collect-only")
    result.stdout.fnmatch_lines(["*note: --mesh-manifests-only=web leaves 1 of * ports"])


def test_a_part_that_is_not_there_is_refused(manifests: Path, quick: Quick) -> None:
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--mesh-manifests-only=wbe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "no workload or service matches --mesh-manifests-only=wbe; did you mean 'web'?"
    result.stderr.fnmatch_lines([f"ERROR: --mesh-manifests: {said}"])


def test_its_checks_are_refused_without_manifests(suite: Suite, quick: Quick) -> None:
    result = quick("--mesh=none", "--pyargs", "pytest_meshcheck.configuration", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: these checks put manifests of your own on trial: name them with *=PATH"])


ROUTES = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{kind: Service, group: "", name: web}]
  rules:
  - {}
  - matches: [{path: {value: /pay}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all}
spec: {podSelector: {}}
"""
BUDGET = "taken out in turn: mesh resources and their rules, for at most {} s (--mesh-manifests-budget)"


def test_each_mesh_resource_and_rule_has_a_check_and_the_budget_is_said(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", k8s_yaml=MANIFESTS + ROUTES)
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only")
    result.stdout.fnmatch_lines([BUDGET.format(180)])
    result.stdout.fnmatch_lines_random(
        [
            "*test_resource_acts?none-NetworkPolicy all?*",
            "*test_resource_acts?none-HTTPRoute web?*",
            "*test_resource_acts?none-HTTPRoute web rule 1?*",
            "*test_resource_acts?none-HTTPRoute web rule 2?*",
        ]
    )
    assert result.ret == 0


def test_the_budget_is_an_option_with_a_twin_in_the_ini_file(suite: Suite, quick: Quick) -> None:
    suite.write("conforms", k8s_yaml=MANIFESTS + ROUTES)
    options = ["--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only"]
    quick(*options, "-o", "mesh_manifests_budget=60").stdout.fnmatch_lines([BUDGET.format(60)])
    refused = quick(*options, "--mesh-manifests-budget=ever")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    said = "ERROR: --mesh-manifests-budget=ever: valid values are numbers of seconds from 0 to 86400."
    refused.stderr.fnmatch_lines([said])


def test_without_mesh_resources_none_is_taken_out(manifests: Path, quick: Quick) -> None:
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only")
    assert "test_resource_acts" not in result.stdout.str()
    assert "taken out" not in result.stdout.str()


def test_a_namespace_that_the_cluster_has_is_refused_and_nothing_is_changed(suite: Suite, quick: Quick) -> None:
    with api_server([recorded("/api/v1/namespaces", "shop")]) as (server, changes):
        named = MANIFESTS.replace("{name: web", "{namespace: shop, name: web")
        suite.write("conforms", k8s_yaml=named, config_yaml=KUBECONFIG.format(server=server))
        result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--mesh-kubeconfig=config.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "ERROR: --mesh-manifests: k8s.yaml:2: the namespace shop exists in the cluster already, *"
    result.stderr.fnmatch_lines([said])
    assert changes == []


PLANNED = """
def pytest_collection_finish(session):
    run = session.config.pluginmanager.get_plugin("meshcheck-run")
    print("planned:", *sorted(item.id for item in run.check_items))
"""


def test_what_is_about_nothing_counts_as_no_check(
    manifests: Path, suite: Suite, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    (suite.path / "looking.py").write_text(PLANNED, "utf-8")
    monkeypatch.syspath_prepend(str(suite.path))
    result = quick("--mesh=none", "--mesh-manifests=k8s.yaml", "--collect-only", "-p", "looking")
    (planned,) = [line for line in result.outlines if line.startswith("planned: ")]
    assert "own/access[" in planned
    assert "[None]" not in planned
