"""Decisions during an upgrade are told apart by step, port and data planes; servers under load restart first."""

from typing import Any

from pytest_meshcheck.meshes.canary import UpgradeBy
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.observation import Ending, Exchange, Protocol
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.decisions import DataPlaneVersion, Decision, Pairing
from pytest_meshcheck.testbed.rotation.rollout import node_by_node, servers_first
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded

OLD, NEW = DataPlaneVersion
NOWHERE: Any = None
ANSWERED = Exchange(request_id="a", protocol=Protocol.HTTP1, ending=Ending.ANSWERED, started=0.0, ended=0.1, wall=0.0)


def decision(pairing: Pairing, port: str) -> Decision:
    return Decision("some data planes upgraded", pairing, port, ANSWERED, (), None, None)


def workload(name: str) -> Workload:
    return Workload(WorkloadSpec("blue", name), NOWHERE, Journal(), NOWHERE, f"{name}-1")


def test_a_decision_is_named_by_port_step_and_pairing() -> None:
    assert str(decision(Pairing(OLD, NEW), "grpc")) == "grpc, some data planes upgraded, old client, new server"
    assert (
        str(decision(Pairing(None, NEW), "tcp"))
        == "tcp, some data planes upgraded, client outside the mesh, new server"
    )


def test_calls_and_intrusions_are_told_apart_by_port() -> None:
    call, intrusion = decision(Pairing(OLD, OLD), "tcp"), decision(Pairing(None, OLD), "tcp")
    decisions = [decision(Pairing(OLD, OLD), "http"), call, intrusion]
    seen = Upgraded("1", "2", UpgradeBy.IN_PLACE, 3.0, {}, {}, None, ANSWERED, 0.0, None, decisions=decisions)
    assert seen.calls("tcp") == [call]
    assert seen.intrusions("tcp") == [intrusion]
    assert seen.intrusions("http") == []


def test_a_wave_is_what_runs_on_a_node_that_of_the_first_workload_before_others() -> None:
    client, server, other = map(workload, ("client", "server", "other"))
    nodes = {str(client): "b", str(server): "a", str(other): "b"}
    assert node_by_node([client, server, other], lambda one: nodes[str(one)]) == [[client, other], [server]]


def test_servers_under_load_are_the_first_wave() -> None:
    client, server, other = map(workload, ("client", "server", "other"))
    template = client.request_to(server.spec, ("127.0.0.1", 1))
    client.loads.append(Load(m.LoadPlan(request_id="a", template=template, rate=1), [server]))
    first, then = servers_first([client, server, other], [client, server, other])
    assert first == [server]
    assert then == [client, other]
