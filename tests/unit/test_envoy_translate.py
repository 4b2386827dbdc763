"""From what a sidecar has to know to Envoy's resources."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.meshes.envoy.control_plane import Snapshot
from pytest_meshcheck.meshes.envoy.policies import PolicySet, marks, render
from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.listeners import inbound_listener
from pytest_meshcheck.meshes.envoy.xds.translate import translate
from pytest_meshcheck.meshes.xfcc import caller
from pytest_meshcheck.model.policy import (
    MARK,
    Failure,
    Mode,
    MutualTls,
    Policy,
    RequestsPerConnection,
    Retry,
    RetryBudget,
    Timeout,
    mark,
)
from pytest_meshcheck.model.workload_spec import Enrolment, Port, WorkloadSpec
from pytest_meshcheck.platforms.local.addresses import AddressPlan, Member
from pytest_meshcheck.probe.protocol.messages import Credentials, Protocol

GOLDEN = Path(__file__).parent / "golden"
PORTS = (Port("http", Protocol.HTTP1), Port("grpc", Protocol.GRPC), Port("tcp", Protocol.TCP))
CLIENT = WorkloadSpec("blue", "client", ports=PORTS[:1])
SERVER = WorkloadSpec("blue", "server", ports=PORTS)
BYSTANDER = WorkloadSpec("grey", "bystander", Enrolment.UNENROLLED, ports=PORTS[:1])


def config_of(of: WorkloadSpec, *policies: Policy) -> SidecarConfig:
    guard = socket.socket()
    guard.close()
    plan = AddressPlan(network=7, base=18080, guard=guard)
    specs = (CLIENT, SERVER, BYSTANDER)
    members = [
        Member(spec, number, spec.enrolment is Enrolment.ENROLLED, plan) for number, spec in enumerate(specs, start=1)
    ]
    snapshot = Snapshot(
        trust_domain="cluster.local",
        roots=b"ROOTS",
        members=members,
        retired=(),
        policies=PolicySet([*map(render, policies), *marks(policies)]),
        endpoint=lambda _client, server, port: server.data_plane(port),
    )
    return snapshot.config_of(members[specs.index(of)], Credentials(chain=b"CHAIN", key=b"KEY"))


EVERYTHING = (
    MutualTls(SERVER, Mode.STRICT, {"http": Mode.PERMISSIVE}),
    Retry(SERVER, 2, frozenset({503}), frozenset({Failure.RESET}), 0.25),
    Timeout(SERVER, 0.5),
    RequestsPerConnection(SERVER, 1),
    RetryBudget(SERVER, 25.0),
)


@pytest.mark.parametrize(
    ("name", "workload", "policies"),
    [
        ("client", CLIENT, ()),
        ("client-under-policies", CLIENT, EVERYTHING),
        ("server-under-policies", SERVER, EVERYTHING),
    ],
)
def test_resources_are_as_written_down(name: str, workload: WorkloadSpec, policies: tuple[Policy, ...]) -> None:
    """With UPDATE_GOLDEN=1 in the environment they are written down anew: read the difference before you keep it."""
    actual = translate(config_of(workload, *policies))
    file = GOLDEN / f"translate-{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(json.dumps(actual, indent=2) + "\n")
    assert actual == json.loads(file.read_text())


@pytest.mark.parametrize("server_first", [False, True])
def test_strict_and_permissive_differ_in_their_filter_chains_alone(server_first: bool) -> None:
    """Envoy would otherwise replace the listener, and drain the connections under mutual TLS."""
    inbound = Inbound(Port("p", Protocol.TCP, server_first), ("127.0.0.1", 1), ("127.0.0.1", 2), Mode.STRICT)
    strict, permissive = (
        inbound_listener(replace(inbound, mode=mode), "inbound.p", "cluster.local")
        for mode in (Mode.STRICT, Mode.PERMISSIVE)
    )
    assert strict["filter_chains"] == permissive["filter_chains"][:1]
    assert strict | {"filter_chains": []} == permissive | {"filter_chains": []}


def listener(resources: dict[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    return next(one for one in resources["listeners"] if one["name"] == name)


def test_strict_and_permissive_differ_in_filter_chains_alone() -> None:
    strict = listener(translate(config_of(SERVER, MutualTls(SERVER, Mode.STRICT))), "inbound.http")
    permissive = listener(translate(config_of(SERVER)), "inbound.http")
    assert strict["filter_chains"] == permissive["filter_chains"][:1]
    assert {**strict, "filter_chains": []} == {**permissive, "filter_chains": []}


def test_a_policy_for_one_service_leaves_the_views_of_others_alone() -> None:
    assert config_of(CLIENT, MutualTls(SERVER, Mode.STRICT)) == config_of(CLIENT)
    assert config_of(CLIENT, Timeout(SERVER, 1.0)) != config_of(CLIENT)


def test_answers_from_a_service_show_its_policies_whatever_the_server_says() -> None:
    routes = {route["name"]: route for route in translate(config_of(CLIENT, Timeout(SERVER, 1.0)))["routes"]}
    shown = {"header": {"key": MARK, "value": mark([Timeout(SERVER, 1.0)])}}
    assert routes["outbound.server.blue.http"]["response_headers_to_add"] == [
        shown | {"append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    ]
    assert "response_headers_to_add" not in routes["outbound.bystander.grey.http"]


def test_a_server_outside_of_the_mesh_is_called_in_the_clear() -> None:
    clusters = {cluster["name"]: cluster for cluster in translate(config_of(CLIENT))["clusters"]}
    assert "transport_socket" not in clusters["outbound.bystander.grey.http"]
    assert "transport_socket" in clusters["outbound.server.blue.http"]


def test_new_credentials_change_secrets_alone() -> None:
    before = config_of(SERVER)
    old, new = translate(before), translate(replace(before, credentials=Credentials(chain=b"NEW", key=b"KEY")))
    assert old["secrets"] != new["secrets"]
    assert {**old, "secrets": []} == {**new, "secrets": []}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("By=spiffe://a/s;Hash=00;URI=spiffe://a/c", "spiffe://a/c"),
        ('By=spiffe://a/s;Hash=00;Subject="O=x, URI=spiffe://fake;y";URI=spiffe://a/c', "spiffe://a/c"),
        ("URI=spiffe://first,By=spiffe://a/s;URI=spiffe://last", "spiffe://last"),
        ('Hash=00;uri="spiffe://a/c"', "spiffe://a/c"),
        ("By=spiffe://a/s;Hash=00", None),
    ],
)
def test_the_caller_is_read_from_the_last_element(header: str, expected: str | None) -> None:
    assert caller(header) == expected
