"""Policies as resources of the embedded mesh, and which of them hold for whom."""

import json
from typing import Any

import pytest

from pytest_meshcheck.meshes.envoy.policies import PolicySet, render
from pytest_meshcheck.meshes.envoy.sidecar_config import Retries
from pytest_meshcheck.model.policy import (
    Failure,
    Mode,
    MutualTls,
    Namespace,
    Policy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    RetryBudget,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.model.workload_spec import WorkloadSpec

SERVER = WorkloadSpec("blue", "server")
RENDERED: list[tuple[Policy, str, str, str, dict[str, Any]]] = [
    (MutualTls(WholeMesh(), Mode.STRICT), "MutualTls", "*", "*", {"mode": "strict", "ports": {}}),
    (MutualTls(Namespace("blue"), Mode.PERMISSIVE), "MutualTls", "blue", "*", {"mode": "permissive", "ports": {}}),
    (
        MutualTls(SERVER, None, {"tcp": Mode.STRICT, "http": Mode.PERMISSIVE}),
        *("MutualTls", "blue", "server"),
        {"mode": None, "ports": {"http": "permissive", "tcp": "strict"}},
    ),
    (
        Retry(SERVER, 3, frozenset({503, 409}), frozenset({Failure.RESET, Failure.STATUS}), 0.25),
        *("Retry", "blue", "server"),
        {"attempts": 3, "statuses": [409, 503], "on": ["reset"], "perTry": 0.25},
    ),
    (Timeout(SERVER, 0.05), "Timeout", "blue", "server", {"request": 0.05}),
    (RequireMutualTls(SERVER), "RequiredMutualTls", "blue", "server", {}),
    (RetryBudget(SERVER, 50.0), "RetryBudget", "blue", "server", {"percent": 50.0}),
    (RequestsPerConnection(SERVER, 1), "ConnectionPool", "blue", "server", {"requestsPerConnection": 1}),
]


@pytest.mark.parametrize(("policy", "kind", "namespace", "name", "spec"), RENDERED)
def test_a_policy_becomes_one_resource(
    policy: Policy, kind: str, namespace: str, name: str, spec: dict[str, Any]
) -> None:
    manifest = {"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec}
    assert render(policy) == manifest


def test_rendered_policies_survive_json() -> None:
    manifests = [render(policy) for policy, *_ in RENDERED]
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
