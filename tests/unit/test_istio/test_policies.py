"""Policies in Istio's resources, against golden files, and what the API server is told of each."""

import json
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.istio import policies as istio
from pytest_meshcheck.meshes.istio.ambient import AmbientMesh
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.observation import Attempt, Protocol
from pytest_meshcheck.model.policy import (
    Failure,
    Mode,
    MutualTls,
    Policy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    RetryBudget,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from tests.unit.rendering import ACCESS, CALLS, OTHER, SERVER, TELL, golden, golden_names

GOLDEN = Path(__file__).parent / "golden"

POLICIES: dict[str, tuple[Policy, ...]] = {
    **ACCESS,
    **CALLS,
    "mesh": (MutualTls(WholeMesh(), Mode.STRICT),),
    "retry": (Retry(SERVER, 2, frozenset({503, 429}), frozenset({Failure.RESET, Failure.STATUS}), 0.25),),
    "connections": (RequestsPerConnection(SERVER, 1),),
    "required": (RequireMutualTls(SERVER), RequestsPerConnection(SERVER, 1)),
    "budget": (RetryBudget(SERVER),),
    "budget-and-connections": (RetryBudget(SERVER, 50.0), RequestsPerConnection(SERVER, 1)),
    "together": (
        Retry(SERVER, 20, frozenset({503})),
        Timeout(SERVER, 0.5),
        RequestsPerConnection(SERVER, 1),
        Timeout(OTHER, 2),
    ),
}
ORDER = MeshRequest(None, 1.0, None, installed=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", POLICIES)
def test_rendered(name: str) -> None:
    assert IstioMesh(ORDER).render(POLICIES[name]) == golden(GOLDEN, name), TELL.format(name)


def test_every_golden_file_is_compared() -> None:
    assert golden_names(GOLDEN) == set(POLICIES)


def test_the_policies_of_one_service_share_a_virtual_service() -> None:
    kinds = [manifest["kind"] for manifest in istio.traffic(POLICIES["together"])]
    assert kinds == ["DestinationRule", "VirtualService", "VirtualService"]


@pytest.mark.parametrize("mesh", [IstioMesh, AmbientMesh])
def test_claims_have_sources_and_denials_reasons(mesh: type[IstioMesh]) -> None:
    claims = mesh(ORDER).claims
    assert all(claim.source.startswith("https://") for claim in claims.values())
    assert all(claim.note for claim in claims.values() if not claim.supported)


def test_what_was_there_already_has_certificates_of_its_own() -> None:
    claim = IstioMesh(ORDER).claims[Capability.CUSTOM_AUTHORITY]
    assert not claim.supported
    assert "not come from the suite's authority" in claim.note


@pytest.mark.parametrize(
    ("enrolment", "labels"),
    [
        (Enrolment.ENROLLED, {"sidecar.istio.io/inject": "true"}),
        (Enrolment.UNENROLLED, {"sidecar.istio.io/inject": "false"}),
        (Enrolment.IMPERSONATED, {"sidecar.istio.io/inject": "false", "security.istio.io/tlsMode": "istio"}),
    ],
)
def test_enrolment(enrolment: Enrolment, labels: dict[str, str]) -> None:
    assert IstioMesh(ORDER).enrolment(WorkloadSpec("blue", "one", enrolment)).labels == labels


def test_the_lifetime_of_certificates_is_an_annotation() -> None:
    annotations = IstioMesh(ORDER).enrolment(WorkloadSpec("blue", "one", leaf_lifetime=30.0)).annotations
    metadata = json.loads(annotations["proxy.istio.io/config"])["proxyMetadata"]
    assert metadata == {"ECC_SIGNATURE_ALGORITHM": "ECDSA", "SECRET_TTL": "30s"}


def test_identities_are_spiffe_ids() -> None:
    mesh = IstioMesh(ORDER)
    headers = (
        ("x-forwarded-client-cert", "By=spiffe://a/ns/b/sa/c;Hash=0;URI=spiffe://cluster.local/ns/blue/sa/server"),
    )
    attempt = Attempt(
        request_id="1", number=1, instance="i", port="http", protocol=Protocol.HTTP1, headers=headers, arrived=0, wall=0
    )
    assert mesh.peer_identity(attempt) == mesh.identity_of(SERVER) == "spiffe://cluster.local/ns/blue/sa/server"


def test_values_of_a_suite_overrule_those_of_the_command_line() -> None:
    given = {"*": {"global": {"hub": "one"}}, "istiod": {"global": {"tag": "1"}}}
    mesh = IstioMesh(MeshRequest(None, 1.0, None, installed=True, values=given))  # type: ignore[arg-type]
    mesh.override({"*": {"global": {"hub": "two"}}})
    (base, istiod) = mesh.releases()
    assert mesh.overrides_of(base) == ({"global": {"hub": "one"}}, {"global": {"hub": "two"}})
    assert mesh.overrides_of(istiod) == (given["*"], given["istiod"], {"global": {"hub": "two"}})
