"""acme's claims have sources."""

from dataclasses import fields

import pytest

from acme_mesh.adapter import VERSION, acme
from acme_mesh.claims import CLAIMS, DOCUMENTED
from acme_mesh.policies import AGAIN_ON
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable


def test_claims_have_sources_and_denials_reasons() -> None:
    assert all(claim.source.startswith("https://docs.acme.example/") for claim in CLAIMS.values())
    assert all(claim.note for claim in CLAIMS.values() if not claim.supported)


def test_sources_are_of_promises_that_exist() -> None:
    for promised in (DOCUMENTED.mtls, DOCUMENTED.retry, DOCUMENTED.rotation):
        assert set(promised.sources) <= {field.name for field in fields(promised)}


def test_every_promised_failure_has_a_word() -> None:
    assert DOCUMENTED.retry.failures == set(AGAIN_ON)


def test_another_version_is_refused_before_anything_is_made() -> None:
    class NoHooks:
        def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, object]) -> None:
            raise AssertionError(workload, resources)

    with pytest.raises(MeshUnavailable, match=f"no acme 9.9; available: {VERSION}"):
        acme(MeshRequest("9.9", 1.0, NoHooks()))
