"""Policies rendered as resources of acme, and the way its control plane reads them."""

import json
from pathlib import Path

import pytest

from acme_mesh.control_plane import MEANINGS
from acme_mesh.policies import render
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import (
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
from pytest_meshcheck.model.workload_spec import WorkloadSpec

SERVER = WorkloadSpec("blue", "server")

POLICIES: dict[str, Policy] = {
    "strict-workload": MutualTls(SERVER, Mode.STRICT),
    "permissive-namespace": MutualTls(Namespace("blue"), Mode.PERMISSIVE),
    "strict-mesh": MutualTls(WholeMesh(), Mode.STRICT),
    "retry": Retry(SERVER, 2, frozenset({503, 502}), frozenset({Failure.RESET, Failure.GRPC_UNAVAILABLE}), 0.25),
    "no-retry": Retry(SERVER, 0),
    "timeout": Timeout(SERVER, 1.5),
    "connections": RequestsPerConnection(SERVER, 1),
}

INEXPRESSIBLE: dict[str, tuple[Policy, str]] = {
    "ports": (MutualTls(SERVER, Mode.PERMISSIVE, {"http": Mode.STRICT}), "cannot distinguish ports"),
    "status": (Retry(SERVER, 1, frozenset({418})), "status 418"),
}

GOLDEN = json.loads((Path(__file__).parent / "golden" / "render.json").read_text("utf-8"))


def test_every_policy_is_golden_and_every_golden_one_is_rendered() -> None:
    assert set(GOLDEN) == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
def test_rendered(name: str) -> None:
    assert render(POLICIES[name]) == GOLDEN[name]


def test_an_inherited_mode_needs_no_resource() -> None:
    assert render(MutualTls(SERVER, None)) == []


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_what_acme_cannot_express_is_unsupported(name: str) -> None:
    policy, why = INEXPRESSIBLE[name]
    with pytest.raises(Unsupported, match=why):
        render(policy)


@pytest.mark.parametrize("name", POLICIES)
def test_the_control_plane_reads_what_was_meant(name: str) -> None:
    (resource,) = render(POLICIES[name])
    assert MEANINGS[resource["kind"]](resource) == POLICIES[name]
