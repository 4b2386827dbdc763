"""Lifecycle guarantees by sidecar type."""

import math

import pytest

from pytest_meshcheck.meshes.istio.documented import DOCUMENTED
from pytest_meshcheck.meshes.kubernetes.readiness import as_injected, form_of

NATIVE = {"name": "istio-proxy", "restartPolicy": "Always"}
ORDINARY = {"name": "istio-proxy"}
HOLDING = {"name": "istio-proxy", "lifecycle": {"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}}}


@pytest.mark.parametrize(("sidecar", "waits"), [(NATIVE, True), (ORDINARY, False), (HOLDING, True)])
def test_an_application_waits_for_a_sidecar_that_holds_it(sidecar: dict[str, object], waits: bool) -> None:
    promised = as_injected(DOCUMENTED, sidecar)
    assert promised.lifecycle.application_waits is waits
    assert promised.lifecycle.source("application_waits") == DOCUMENTED.lifecycle.source("application_waits")
    assert promised.mtls == DOCUMENTED.mtls


@pytest.mark.parametrize(("sidecar", "ends"), [(NATIVE, True), (ORDINARY, False), (HOLDING, False)])
def test_a_job_ends_with_a_native_sidecar_alone(sidecar: dict[str, object], ends: bool) -> None:
    usual = DOCUMENTED.lifecycle.job_ends_within
    assert as_injected(DOCUMENTED, sidecar).lifecycle.job_ends_within == (usual if ends else math.inf)


def test_form_of_a_sidecar() -> None:
    assert [form_of(one).split()[0] for one in (NATIVE, ORDINARY)] == ["native", "sidecars"]
