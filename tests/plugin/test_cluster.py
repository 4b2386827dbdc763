"""Clusters that cannot be had are refused before anything is made."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Quick, Suite
from .recorded import api_server

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: near
clusters:
- {{name: near, cluster: {{server: "http://127.0.0.1:{port}"}}}}
contexts:
- {{name: near, context: {{cluster: near, user: me}}}}
users:
- {{name: me, user: {{token: abc}}}}
"""


@pytest.fixture
def nobody() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def refused(suite: Suite, quick: Quick, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Runs with these options, which have to be refused with these words; the PATH is empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    suite.write("conforms")

    def run(*options: str, said: str) -> None:
        result = quick("--mesh=none", *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {said}"])
        assert not (suite.path / "meshcheck-report").exists()

    return run


def test_a_kubeconfig_that_is_not_there(refused: Callable[..., None]) -> None:
    refused("--mesh-kubeconfig=nowhere", said="--mesh-kubeconfig=nowhere: no such file.")


def test_no_kubeconfig_at_all(refused: Callable[..., None]) -> None:
    refused("--mesh-context=near", said="the default kubeconfig cannot be used: *")


def test_a_kubeconfig_that_is_none(refused: Callable[..., None], suite: Suite) -> None:
    suite.write("conforms", config_yaml="[]")
    refused("--mesh-kubeconfig=config.yaml", said="config.yaml cannot be used: *")


def test_an_unknown_context_lists_those_there_are(refused: Callable[..., None], suite: Suite, nobody: int) -> None:
    suite.write("conforms", config_yaml=KUBECONFIG.format(port=nobody))
    refused(
        "--mesh-kubeconfig=config.yaml",
        "--mesh-context=far",
        said="config.yaml has no context 'far'; it has near",
    )


@pytest.mark.parametrize("current", ["", "current-context: ''", "current-context: gone"])
def test_a_named_context_needs_no_current_one(
    refused: Callable[..., None], suite: Suite, nobody: int, current: str
) -> None:
    suite.write("conforms", config_yaml=KUBECONFIG.format(port=nobody).replace("current-context: near", current))
    said = f"the API server http://127.0.0.1:{nobody} cannot be reached: *; is the cluster running?"
    refused("--mesh-kubeconfig=config.yaml", "--mesh-context=near", said=said)


def test_without_a_current_context_one_has_to_be_named(refused: Callable[..., None], suite: Suite, nobody: int) -> None:
    suite.write("conforms", config_yaml=KUBECONFIG.format(port=nobody).replace("current-context: near\n", ""))
    refused(
        "--mesh-kubeconfig=config.yaml",
        said="config.yaml has no current context; it has near: name one with --mesh-context",
    )


def test_a_proxy_is_no_obstacle_to_a_cluster_of_this_machine(
    refused: Callable[..., None], suite: Suite, nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{nobody}")
    with api_server(()) as (server, _):
        suite.write("conforms", config_yaml=KUBECONFIG.format(port=server.rpartition(":")[2]))
        refused("--mesh-kubeconfig=config.yaml", said="an existing cluster pulls the probe image from a registry: *")


def test_an_api_server_that_is_not_there(refused: Callable[..., None], suite: Suite, nobody: int) -> None:
    suite.write("conforms", config_yaml=KUBECONFIG.format(port=nobody))
    said = f"the API server http://127.0.0.1:{nobody} cannot be reached: *; is the cluster running?"
    refused("--mesh-kubeconfig=config.yaml", said=said)


def test_an_api_server_that_says_nothing(
    refused: Callable[..., None], suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_meshcheck.platforms.kubernetes.api.resources.REACHABLE_WITHIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        suite.write("conforms", config_yaml=KUBECONFIG.format(port=port))
        said = (
            f"the API server http://127.0.0.1:{port} cannot be reached: no answer within * s; is the cluster running?"
        )
        refused("--mesh-kubeconfig=config.yaml", said=said)


def test_no_kind(refused: Callable[..., None]) -> None:
    refused(said="no program kind on the PATH: install it (*), or name an existing cluster with --mesh-context*")


@pytest.mark.parametrize("option", ["--mesh-keep=sometimes"])
def test_wrong_values(refused: Callable[..., None], option: str) -> None:
    refused(option, said=f"{option}: valid values are never, on-failure, always.")


def test_collecting_needs_no_cluster(suite: Suite, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    suite.write("conforms")
    result = quick("--mesh=none", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_conforms[[]none]"])
    assert result.ret == pytest.ExitCode.OK
