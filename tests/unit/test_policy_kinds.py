"""A kind of policy that no adapter has heard of: unsupported by every mesh, and treated by its base by the suite."""

import json
from dataclasses import dataclass

import pytest

from pytest_meshcheck.meshes.registry import MeshRequest, Registry
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
    EgressPolicy,
    Mode,
    MutualTls,
    Namespace,
    NetworkPolicy,
    Policy,
    RequestsPerConnection,
    Retry,
    ServerPolicy,
    ServicePolicy,
    Timeout,
    WholeMesh,
    about_service,
    about_workloads,
    admits_outsiders,
    mark,
)
from pytest_meshcheck.model.workload_spec import WorkloadSpec

SERVER = WorkloadSpec("blue", "server")
MESHES = sorted(
    name
    for name, entry in Registry.installed().entries.items()
    if name != "none" and "pytest-meshcheck " in entry.origin
)
"""All of ours but the bare cluster, which takes every policy."""


CHANGES = [
    (Retry(SERVER, 2, {503}), Retry(SERVER, 1, {502, 503})),
    (Timeout(SERVER, 5.0), Timeout(SERVER, 10.0)),
    (RequestsPerConnection(SERVER, 1), RequestsPerConnection(SERVER, 2)),
    (MutualTls(SERVER, Mode.STRICT), MutualTls(SERVER, Mode.PERMISSIVE)),
]


@dataclass(frozen=True)
class Authorization(ServerPolicy):
    """Names the callers that are let in."""

    callers: frozenset[str] = frozenset()

    def admits_outsiders(self, port: str) -> bool | None:
        return False


@dataclass(frozen=True)
class Mirror(ServicePolicy):
    """Sends a copy of each request elsewhere."""

    to: str = "shadow"


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("policy", [Authorization(SERVER), Mirror(SERVER)], ids=lambda policy: type(policy).__name__)
def test_unknown_kind_is_unsupported_by(mesh: str, policy: Policy) -> None:
    adapter = Registry.installed().create(mesh, MeshRequest(None, 1.0, None, installed=mesh != "envoy"))  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=type(policy).__name__):
        adapter.render([policy])


def rendered(mesh: str, *policies: Policy) -> dict[tuple[str, str, str], str]:
    """The resources by kind, namespace and name, without the mark of these policies; the last of a name counts."""
    adapter = Registry.installed().create(mesh, MeshRequest(None, 1.0, None, installed=mesh != "envoy"))  # type: ignore[arg-type]
    manifests = [(one, one["metadata"]) for one in adapter.render(policies)]
    return {
        (one["kind"], metadata.get("namespace", ""), metadata["name"]): json.dumps(one).replace(mark(policies), "MARK")
        for one, metadata in manifests
    }


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize(("before", "after"), CHANGES, ids=lambda policy: type(policy).__name__)
def test_a_later_policy_takes_the_place_of_an_earlier_one_in_the_same_resources(
    mesh: str, before: Policy, after: Policy
) -> None:
    """A check can so change a policy without a moment in which none is applied."""
    try:
        resources = rendered(mesh, before)
    except Unsupported:
        return
    assert rendered(mesh, before, after) == rendered(mesh, after) != resources
    assert rendered(mesh, after).keys() == resources.keys()


def test_only_policies_about_services_mark_the_way_to_them() -> None:
    policies = [Authorization(SERVER), Retry(SERVER, 1), Mirror(SERVER), MutualTls(SERVER, Mode.STRICT)]
    assert about_service(policies) == {("blue", "server"): [policies[1], policies[2]]}


@pytest.mark.parametrize(
    ("target", "covered", "wide"),
    [
        (SERVER, {"blue/server"}, False),
        (Namespace("blue"), {"blue/server", "blue/client"}, False),
        (WholeMesh(), {"blue/server", "blue/client", "green/server"}, True),
    ],
)
def test_scope(target: WorkloadSpec | Namespace | WholeMesh, covered: set[str], wide: bool) -> None:
    workloads = [SERVER, WorkloadSpec("blue", "client"), WorkloadSpec("green", "server")]
    policy = Authorization(target)
    assert {f"{one.namespace}/{one.name}" for one in workloads if policy.covers(one)} == covered
    assert policy.is_wide is wide


@pytest.mark.parametrize(
    ("policy", "port", "admits"),
    [
        (MutualTls(SERVER, Mode.STRICT), "http", False),
        (MutualTls(SERVER, Mode.PERMISSIVE), "http", True),
        (MutualTls(SERVER, None), "http", None),
        (MutualTls(SERVER, None, {"http": Mode.STRICT}), "http", False),
        (MutualTls(SERVER, Mode.STRICT, {"http": Mode.PERMISSIVE}), "tcp", False),
    ],
)
def test_mutual_tls_admits_outsiders(policy: MutualTls, port: str, admits: bool | None) -> None:
    assert policy.admits_outsiders(port) is admits


STRICT_NAMESPACE = MutualTls(Namespace("blue"), Mode.STRICT)
OPEN_MESH = MutualTls(WholeMesh(), Mode.PERMISSIVE)


@pytest.mark.parametrize(
    ("policies", "admits"),
    [
        ([], None),
        ([MutualTls(Namespace("green"), Mode.STRICT)], None),
        ([OPEN_MESH, STRICT_NAMESPACE], False),
        ([STRICT_NAMESPACE, OPEN_MESH], False),
        ([MutualTls(SERVER, Mode.PERMISSIVE), STRICT_NAMESPACE], True),
        ([MutualTls(SERVER, None), STRICT_NAMESPACE], False),
        ([MutualTls(SERVER, None, {"http": Mode.PERMISSIVE}), STRICT_NAMESPACE], True),
        ([MutualTls(SERVER, Mode.STRICT), MutualTls(SERVER, Mode.PERMISSIVE)], True),
    ],
    ids=["none", "elsewhere", "wide-first", "narrow-first", "workload", "inherits", "port", "last-of-a-scope"],
)
def test_the_narrowest_policy_decides_who_is_admitted(policies: list[MutualTls], admits: bool | None) -> None:
    assert admits_outsiders(policies, SERVER, "http") is admits


def test_a_kind_of_policy_that_admits_nobody_is_enough() -> None:
    policies = [Authorization(Namespace("blue")), MutualTls(SERVER, Mode.PERMISSIVE)]
    assert admits_outsiders(policies, SERVER, "http") is False


@pytest.mark.parametrize(
    ("caller", "port", "admitted"),
    [
        (WorkloadSpec("blue", "client"), "http", True),
        (WorkloadSpec("blue", "client"), "grpc", False),
        (WorkloadSpec("green", "client"), "http", False),
        (WorkloadSpec("blue", "second-client"), "http", False),
    ],
    ids=["listed", "another port", "a twin", "a neighbour"],
)
def test_a_network_policy_admits_whom_and_what_it_lists(caller: WorkloadSpec, port: str, admitted: bool) -> None:
    policy = NetworkPolicy(SERVER, (WorkloadSpec("blue", "client"),), ("http",))
    assert policy.admits(caller, port) == admitted
    assert not policy.admits_outsiders(port)
    assert MutualTls(SERVER, Mode.STRICT).admits(caller, port)


@pytest.mark.parametrize(
    ("caller", "server", "port", "allowed"),
    [
        (WorkloadSpec("blue", "client"), SERVER, "http", True),
        (WorkloadSpec("blue", "client"), SERVER, "grpc", False),
        (WorkloadSpec("blue", "client"), WorkloadSpec("green", SERVER.name), "http", False),
        (WorkloadSpec("blue", "second-client"), SERVER, "grpc", True),
    ],
    ids=["listed", "another port", "a twin", "another caller"],
)
def test_an_egress_policy_allows_what_it_lists(
    caller: WorkloadSpec, server: WorkloadSpec, port: str, allowed: bool
) -> None:
    policy = EgressPolicy(WorkloadSpec("blue", "client"), (SERVER,), ("http",))
    assert policy.allows(caller, server, port) == allowed


def test_policies_about_workloads_are_those_about_no_service() -> None:
    policies: list[Policy] = [
        NetworkPolicy(SERVER),
        Timeout(SERVER, 1.0),
        EgressPolicy(SERVER),
        MutualTls(SERVER, None),
    ]
    assert about_workloads(policies) == [policies[0], *policies[2:]]
