"""What a mesh with a control plane of its own is stopped, killed and given by."""

from typing import Any

import pytest
from cryptography import x509

from pytest_meshcheck.meshes.istio.ambient import AmbientMesh
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.kubernetes.controlled import ControlledMesh
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.authority_files import Flaw, broken
from pytest_meshcheck.model.bundle_form import BundleForm
from pytest_meshcheck.model.workload_spec import WorkloadSpec


class NoHooks:
    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, object]) -> None:
        raise NotImplementedError


REQUEST = MeshRequest(None, 1.0, NoHooks(), installed=True)


def test_istiod_is_authority_and_control_plane_by_its_revision() -> None:
    mesh = IstioMesh(REQUEST)
    mesh.revision = "1-30-3"
    assert mesh.authority_deployments == mesh.control_plane_deployments == ("istiod-1-30-3",)


def test_linkerds_authority_outlives_an_outage_of_the_rest() -> None:
    mesh = LinkerdMesh(REQUEST)
    assert mesh.authority_deployments == ("linkerd-identity",)
    assert mesh.control_plane_deployments == ("linkerd-destination", "linkerd-proxy-injector")


@pytest.mark.parametrize(
    ("mesh", "sidecar"), [(IstioMesh, "istio-proxy"), (LinkerdMesh, "linkerd-proxy"), (AmbientMesh, "")]
)
def test_the_container_that_is_killed(mesh: type[ControlledMesh], sidecar: str) -> None:
    assert mesh.sidecar == sidecar


@pytest.mark.parametrize("mesh", [IstioMesh(REQUEST), LinkerdMesh(REQUEST)], ids=["istio", "linkerd"])
@pytest.mark.parametrize("flaw", Flaw)
def test_broken_files_are_given_as_they_are(mesh: ControlledMesh, flaw: Flaw) -> None:
    files = broken(mesh.authority, flaw)
    secret, *_ = mesh.secrets_of(files)
    given = set(secret["stringData"].values())
    assert {files.certificate.decode(), files.key.decode(), files.roots.decode()} <= given


def test_istio_has_the_signers_root_first_in_any_form() -> None:
    mesh = IstioMesh(REQUEST)
    mesh.authority.add_root()
    mesh.authority.switch_root()
    plain = mesh.authority_files().roots
    assert x509.load_pem_x509_certificates(plain)[0] == mesh.authority.issuer.root
    mesh.authority.form = BundleForm.REVERSED
    assert mesh.authority_files().roots != plain


def test_a_renewal_is_brought_forward_by_settings_of_the_agent() -> None:
    spec = WorkloadSpec("blue", "server", leaf_lifetime=120.0, renewed_after=30.0)
    config: Any = IstioMesh(REQUEST).enrolment(spec).annotations["proxy.istio.io/config"]
    assert '"SECRET_TTL": "120s"' in config
    assert '"SECRET_GRACE_PERIOD_RATIO": "0.75"' in config
    assert '"SECRET_GRACE_PERIOD_RATIO_JITTER": "0"' in config
