"""Policies in Cilium's resources, whole: ``golden/`` holds what ``render`` has to return."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.cilium.adapter import ipsec, spire, wireguard, ztunnel
from pytest_meshcheck.meshes.kubernetes.http_routes import duration
from pytest_meshcheck.meshes.registry import Factory
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
    EgressPolicy,
    Failure,
    Mode,
    MutualTls,
    Namespace,
    NetworkPolicy,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import KNOWN_AS
from tests.unit.rendering import SERVER, TELL, golden, golden_names

from .conftest import Judged

GOLDEN = Path(__file__).parent / "golden"
TWIN = WorkloadSpec("green", "server")
OUTSIDER = WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED)
POLICIES: dict[str, list[Policy]] = {
    "retry": [Retry(SERVER, 2, statuses=frozenset({503, 429}), on=frozenset({Failure.RESET, Failure.STATUS}))],
    "retry-of-broken-connections": [Retry(SERVER, 60, on=frozenset({Failure.CONNECT}))],
    "no-retry": [Retry(SERVER, 0)],
    "per-try": [Retry(SERVER, 3, statuses=frozenset({503}), per_try=0.25), Timeout(SERVER, 1.5)],
    "timeout": [Timeout(SERVER, 0.05)],
    "no-timeout": [Timeout(SERVER, 0)],
    "two-services": [Timeout(SERVER, 2.0), Retry(TWIN, 1, statuses=frozenset({500}))],
    "network-policy": [NetworkPolicy(SERVER, (TWIN,), ("http", "grpc"))],
    "default-deny": [NetworkPolicy(SERVER)],
    "egress": [EgressPolicy(TWIN, (SERVER,), ("http", "grpc"))],
    "egress-denied": [EgressPolicy(SERVER)],
    "inherits": [MutualTls(SERVER, None)],
}
BY_NODES_OR_AGENTS = [wireguard, ipsec, spire]


@pytest.mark.parametrize("name", POLICIES)
def test_golden(name: str, judged: Judged) -> None:
    assert judged(wireguard).render(POLICIES[name]) == golden(GOLDEN, name), TELL.format(name)


def test_every_golden_file_is_compared_with() -> None:
    assert golden_names(GOLDEN) == set(POLICIES)


@pytest.mark.parametrize("factory", BY_NODES_OR_AGENTS)
def test_all_variants_with_routes_render_them_alike(factory: Factory, judged: Judged) -> None:
    policies = POLICIES["per-try"]
    assert judged(factory).render(policies) == judged(wireguard).render(policies)


def test_another_policy_shows_another_mark(judged: Judged) -> None:
    def shown(*policies: Policy) -> set[str]:
        return {
            header["value"]
            for route in judged(wireguard).render(policies)
            for header in route["spec"]["rules"][0]["filters"][0]["responseHeaderModifier"]["set"]
        }

    one, other = Timeout(SERVER, 1), Timeout(SERVER, 2)
    assert len(shown(one) | shown(other) | shown(one, Retry(SERVER, 1))) == 3


@pytest.mark.parametrize("factory", BY_NODES_OR_AGENTS)
@pytest.mark.parametrize(
    ("policy", "mode"),
    [
        (MutualTls(SERVER, Mode.STRICT), "strict"),
        (MutualTls(Namespace("blue"), Mode.PERMISSIVE), "permissive"),
        (MutualTls(WholeMesh(), Mode.STRICT), "strict"),
        (MutualTls(SERVER, None, {"http": Mode.STRICT}), "strict"),
    ],
)
def test_mutual_tls_is_unsupported_with_the_reason(
    factory: Factory, policy: MutualTls, mode: str, judged: Judged
) -> None:
    mesh = judged(factory)
    with pytest.raises(Unsupported, match=f"cannot be set to {mode}: .*https://docs.cilium.io/") as refused:
        mesh.render([policy])
    assert mesh.variant.why_not_strict in str(refused.value)


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (RequestsPerConnection(SERVER, 1), "how long connections are reused"),
        (Retry(SERVER, 1, on=frozenset({Failure.GRPC_UNAVAILABLE})), "grpc-unavailable"),
        (Retry(SERVER, 1, statuses=frozenset({302})), "not on 302"),
    ],
)
def test_what_a_route_has_no_field_for(policy: Policy, named: str, judged: Judged) -> None:
    with pytest.raises(Unsupported, match=named):
        judged(wireguard).render([policy])


@pytest.mark.parametrize("policy", [MutualTls(SERVER, Mode.PERMISSIVE), MutualTls(Namespace("blue"), None)])
def test_permissive_is_what_ztunnel_does_by_itself(policy: MutualTls, judged: Judged) -> None:
    assert judged(ztunnel).render([policy]) == []


@pytest.mark.parametrize(
    ("policies", "named"),
    [
        ([MutualTls(SERVER, Mode.STRICT)], "cannot be set to strict: .*plaintext is always accepted"),
        ([MutualTls(SERVER, Mode.PERMISSIVE, {"http": Mode.STRICT})], "cannot be set to strict"),
        ([Timeout(SERVER, 1)], "Timeout needs layer 7"),
        ([Retry(SERVER, 1)], "Retry needs layer 7"),
    ],
)
def test_ztunnel_does_no_more(policies: Sequence[Policy], named: str, judged: Judged) -> None:
    with pytest.raises(Unsupported, match=named):
        judged(ztunnel).render(policies)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0004, "0s"), (0.05, "50ms"), (1.5, "1s500ms"), (2, "2s"), (100_000.001, "27h2800s1ms")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("factory", "workload", "labels", "namespace_labels"),
    [
        (wireguard, SERVER, {}, {}),
        (spire, SERVER, {}, {}),
        (ztunnel, SERVER, {}, {"io.cilium/mtls-enabled": "true"}),
        (ztunnel, OUTSIDER, {}, {}),
    ],
)
def test_enrolment(
    factory: Factory, workload: WorkloadSpec, labels: object, namespace_labels: object, judged: Judged
) -> None:
    metadata = judged(factory).enrolment(workload)
    assert (metadata.labels, metadata.annotations, metadata.namespace_labels) == (labels, {}, namespace_labels)


def test_the_agents_of_spire_authenticate_whom_a_network_policy_lists(judged: Judged) -> None:
    (policy,) = judged(spire).render([NetworkPolicy(SERVER, (TWIN,), ("http",))])
    (rule,) = policy["spec"]["ingress"]
    assert policy["kind"] == "CiliumNetworkPolicy"
    assert policy["spec"]["endpointSelector"]["matchLabels"] == {KNOWN_AS: "server"}
    assert rule == {
        "fromEndpoints": [{"matchLabels": {KNOWN_AS: "server", "k8s:io.kubernetes.pod.namespace": "green"}}],
        "toPorts": [{"ports": [{"protocol": "TCP", "port": "8080"}]}],
        "authentication": {"mode": "required"},
    }


def test_without_a_listed_caller_they_let_nobody_in(judged: Judged) -> None:
    """A list without a rule would select nothing: https://docs.cilium.io/en/stable/security/policy/intro/."""
    (policy,) = judged(spire).render([NetworkPolicy(SERVER)])
    assert policy["spec"]["ingress"] == [{}]


@pytest.mark.parametrize("target", [Namespace("blue"), WholeMesh()])
def test_a_network_policy_is_about_one_workload(target: Namespace | WholeMesh, judged: Judged) -> None:
    with pytest.raises(Unsupported, match="covers one workload"):
        judged(wireguard).render([NetworkPolicy(target)])
