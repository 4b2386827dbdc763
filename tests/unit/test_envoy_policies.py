"""Policies as resources of the embedded mesh, and which of them hold for whom."""

import json

import pytest

from pytest_meshcheck.meshes.envoy.policies import PolicySet, render
from pytest_meshcheck.meshes.envoy.view import Retries
from pytest_meshcheck.stage.policy import (
    Failure,
    Mode,
    MutualTls,
    Namespace,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.stage.workload import WorkloadSpec
from tests.unit.golden import agrees_with

SERVER = WorkloadSpec("blue", "server")
POLICIES: dict[str, Policy] = {
    "mutual-tls-of-the-mesh": MutualTls(WholeMesh(), Mode.STRICT),
    "mutual-tls-of-a-namespace": MutualTls(Namespace("blue"), Mode.PERMISSIVE),
    "mutual-tls-of-a-port": MutualTls(SERVER, None, {"tcp": Mode.STRICT, "http": Mode.PERMISSIVE}),
    "retry": Retry(SERVER, 3, frozenset({503, 409}), frozenset({Failure.RESET, Failure.STATUS}), 0.25),
    "timeout": Timeout(SERVER, 0.05),
    "requests-per-connection": RequestsPerConnection(SERVER, 1),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_rendered_as_written_down(name: str) -> None:
    agrees_with(f"render-{name}", render(POLICIES[name]))


def test_rendered_policies_survive_json() -> None:
    manifests = [render(policy) for policy in POLICIES.values()]
    assert json.loads(json.dumps(manifests)) == manifests


@pytest.mark.parametrize(
    ("applied", "port", "expected"),
    [
        ([], "http", Mode.PERMISSIVE),
        ([MutualTls(WholeMesh(), Mode.STRICT)], "http", Mode.STRICT),
        ([MutualTls(WholeMesh(), Mode.STRICT), MutualTls(Namespace("blue"), Mode.PERMISSIVE)], "http", Mode.PERMISSIVE),
        ([MutualTls(SERVER, Mode.STRICT), MutualTls(Namespace("blue"), Mode.PERMISSIVE)], "http", Mode.STRICT),
        ([MutualTls(SERVER, Mode.STRICT, {"http": Mode.PERMISSIVE})], "http", Mode.PERMISSIVE),
        ([MutualTls(SERVER, Mode.STRICT, {"http": Mode.PERMISSIVE})], "tcp", Mode.STRICT),
        ([MutualTls(SERVER, None, {"http": Mode.STRICT}), MutualTls(WholeMesh(), Mode.STRICT)], "tcp", Mode.STRICT),
        ([MutualTls(SERVER, None, {"http": Mode.STRICT})], "tcp", Mode.PERMISSIVE),
        ([MutualTls(Namespace("green"), Mode.STRICT)], "http", Mode.PERMISSIVE),
        ([MutualTls(WorkloadSpec("green", "server"), Mode.STRICT)], "http", Mode.PERMISSIVE),
    ],
)
def test_the_narrowest_scope_decides_the_mode(applied: list[Policy], port: str, expected: Mode) -> None:
    assert PolicySet(render(policy) for policy in applied).mode("blue", "server", port) is expected


def test_a_retry_names_what_envoy_retries() -> None:
    policy = Retry(SERVER, 2, frozenset({503}), frozenset({Failure.GRPC_UNAVAILABLE, Failure.STATUS}), 0.1)
    retries = PolicySet([render(policy)]).retries("blue", "server")
    assert retries == Retries(2, (503,), ("unavailable",), 0.1)


def test_no_attempts_are_no_retries() -> None:
    assert PolicySet([render(Retry(SERVER, 0, frozenset({503})))]).retries("blue", "server") is None


def test_a_policy_is_for_its_own_service_alone() -> None:
    policies = PolicySet([render(Timeout(SERVER, 1.5)), render(RequestsPerConnection(SERVER, 1))])
    assert policies.timeout("blue", "server") == 1.5
    assert policies.requests_per_connection("blue", "server") == 1
    assert policies.timeout("green", "server") == 0.0
    assert policies.requests_per_connection("green", "server") is None
