"""What outsiders have to meet under several policies at once, and a workload whose egress one limits."""

from collections.abc import Sequence
from unittest.mock import Mock

import pytest

from pytest_meshcheck.model.policy import EgressPolicy, Mode, MutualTls, Namespace, WholeMesh
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Port, WorkloadSpec
from pytest_meshcheck.probe.protocol.messages import Protocol
from pytest_meshcheck.testbed.convergence.conditions import admission, allowed, connectivity, egress

HTTP = (Port("http", Protocol.HTTP1), Port("banner", Protocol.TCP, server_first=True))


def workload(namespace: str, name: str, enrolment: Enrolment = Enrolment.ENROLLED) -> Workload:
    """A workload that is never asked for anything."""
    return Workload(WorkloadSpec(namespace, name, enrolment, ports=HTTP), Mock(), Mock(), Mock(), name)


SERVER, CLIENT, GREEN = workload("blue", "server"), workload("blue", "client"), workload("green", "server")
OUTSIDER = workload("grey", "outsider", Enrolment.UNENROLLED)
RUNNING = (SERVER, CLIENT, GREEN, OUTSIDER)

STRICT_MESH = MutualTls(WholeMesh(), Mode.STRICT)
STRICT_BLUE = MutualTls(Namespace("blue"), Mode.STRICT)
OPEN_SERVER = MutualTls(SERVER, Mode.PERMISSIVE)


def expected(policies: Sequence[MutualTls], beside: Sequence[MutualTls] = ()) -> dict[str, object]:
    return {str(one.server): one.expected for one in admission(policies, OUTSIDER, RUNNING, beside)}


@pytest.mark.parametrize(
    ("policies", "beside", "conditions"),
    [
        ([STRICT_BLUE], [], {"blue/server": False, "blue/client": False}),
        ([OPEN_SERVER, STRICT_BLUE], [], {"blue/server": True, "blue/client": False}),
        ([STRICT_BLUE, OPEN_SERVER], [], {"blue/server": True, "blue/client": False}),
        ([STRICT_BLUE], [OPEN_SERVER], {"blue/server": True, "blue/client": False}),
        ([OPEN_SERVER], [STRICT_MESH], {"blue/server": True}),
        ([STRICT_MESH], [], {"blue/server": False, "blue/client": False, "green/server": False}),
    ],
    ids=["one", "narrow-and-wide", "wide-and-narrow", "beside-a-narrow-one", "beside-a-wide-one", "mesh"],
)
def test_the_narrowest_policy_counts_for_each_workload(
    policies: list[MutualTls], beside: list[MutualTls], conditions: dict[str, bool]
) -> None:
    assert expected(policies, beside) == conditions


def test_a_workload_reaches_what_its_egress_policy_lists_and_nothing_else() -> None:
    policy = EgressPolicy(CLIENT, (SERVER,), ("http",))
    met = {str(one.server): one.expected for one in egress([policy], RUNNING)}
    assert met == {"blue/server": True, "green/server": False, "grey/outsider": False}
    left = {str(one.server) for one in allowed([policy], connectivity(RUNNING)) if one.caller is CLIENT}
    assert left == {"blue/server"}
