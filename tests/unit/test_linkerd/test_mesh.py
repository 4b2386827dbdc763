"""Who is who in Linkerd, and how it is installed."""

import pytest
from cryptography import x509

from pytest_meshcheck.meshes.linkerd.documented import CLAIMS, DOCUMENTED
from pytest_meshcheck.meshes.linkerd.mesh import ANCHORS, LinkerdMesh, chart_version, has_anchors
from pytest_meshcheck.meshes.linkerd.preinstalled import trust_domain
from pytest_meshcheck.meshes.registry import Hooks, MeshRequest
from pytest_meshcheck.model.bundle_form import BundleForm
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec


class NoHooks:
    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, object]) -> None:
        raise NotImplementedError


@pytest.fixture
def mesh() -> LinkerdMesh:
    hooks: Hooks = NoHooks()
    return LinkerdMesh(MeshRequest("edge-26.8.3", 1.0, hooks, installed=True))


def test_an_identity_is_a_dns_name_of_the_service_account(mesh: LinkerdMesh) -> None:
    name = mesh.identity_of(WorkloadSpec("blue", "server"))
    assert name == "server.blue.serviceaccount.identity.linkerd.cluster.local"


@pytest.mark.parametrize(
    ("enrolment", "annotations"),
    [
        (Enrolment.ENROLLED, {"linkerd.io/inject": "enabled"}),
        (Enrolment.UNENROLLED, {"linkerd.io/inject": "disabled"}),
        (Enrolment.IMPERSONATED, {"linkerd.io/inject": "enabled", "config.linkerd.io/control-port": "8080"}),
    ],
)
def test_enrolment_is_annotated(mesh: LinkerdMesh, enrolment: Enrolment, annotations: dict[str, str]) -> None:
    metadata = mesh.enrolment(WorkloadSpec("blue", "server", enrolment))
    assert (dict(metadata.annotations), dict(metadata.labels)) == (annotations, {})


def test_the_authority_is_a_secret_and_a_config_map(mesh: LinkerdMesh) -> None:
    mesh.authority.add_root()
    issuer, anchors = (one.get("stringData") or one["data"] for one in mesh.secrets())
    assert x509.load_pem_x509_certificate(issuer["tls.crt"].encode()) == mesh.authority.issuer.certificate
    assert tuple(x509.load_pem_x509_certificates(anchors["ca-bundle.crt"].encode())) == mesh.authority.roots
    assert "PRIVATE KEY" not in anchors["ca-bundle.crt"]


@pytest.mark.parametrize("form", BundleForm)
def test_the_anchors_of_a_proxy_are_recognized_in_every_form(mesh: LinkerdMesh, form: BundleForm) -> None:
    before = mesh.authority.roots
    mesh.authority.add_root()
    mesh.authority.form = form
    sidecar = {"env": [{"name": ANCHORS, "value": mesh.authority.bundle().decode()}]}
    assert has_anchors(sidecar, mesh.authority.roots)
    assert not has_anchors(sidecar, before)


def test_an_installation_of_others_is_not_judged_by_our_lifetime(mesh: LinkerdMesh) -> None:
    changed = {capability for capability in CLAIMS if mesh.claims[capability] != CLAIMS[capability]}
    assert changed >= {Capability.LEAF_ROTATION, Capability.ISSUER_ROTATION, Capability.CUSTOM_AUTHORITY}
    assert not any(mesh.claims[capability].supported for capability in changed)


@pytest.mark.parametrize(
    ("arguments", "domain"),
    [(["identity", "-identity-trust-domain=mesh.example"], "mesh.example"), ([], "cluster.local")],
)
def test_the_trust_domain_is_what_the_identity_service_is_told(arguments: list[str], domain: str) -> None:
    containers = [{"name": "linkerd-proxy"}, {"name": "identity", "args": arguments}]
    deployment = {"spec": {"template": {"spec": {"containers": containers}}}}
    assert trust_domain(deployment, "cluster.local") == domain


def test_values_hold_no_key(mesh: LinkerdMesh) -> None:
    assert all("PRIVATE" not in str(release.values) for release in mesh.releases())


@pytest.mark.parametrize(
    ("version", "chart"), [("edge-26.8.3", "2026.8.3"), ("edge-25.10.7", "2025.10.7"), ("stable-2.14", "stable-2.14")]
)
def test_versions_of_charts(version: str, chart: str) -> None:
    assert chart_version(version) == chart


def test_claims_have_sources_and_denials_reasons() -> None:
    assert all(claim.source.startswith("https://") for claim in CLAIMS.values())
    assert all(claim.note for claim in CLAIMS.values() if not claim.supported)


def test_promises_have_sources() -> None:
    assert all(DOCUMENTED.source(name).startswith("https://") for name in DOCUMENTED.sources)
