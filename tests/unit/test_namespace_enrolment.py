"""Each mesh enrols whole namespaces by what its documentation says."""

from collections.abc import Mapping

import pytest

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.registry import MeshRequest, Registry
from pytest_meshcheck.model.errors import Unsupported

INSTALLED = MeshRequest(None, 1.0, None, installed=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mesh", "labels", "annotations"),
    [
        # mesh, labels and annotations of the namespace
        ("istio", {"istio-injection": "enabled"}, {}),
        ("istio-httproute", {"istio-injection": "enabled"}, {}),
        ("istio-ambient", {"istio.io/dataplane-mode": "ambient"}, {}),
        ("linkerd", {}, {"linkerd.io/inject": "enabled"}),
        ("linkerd+cilium", {}, {"linkerd.io/inject": "enabled"}),
        ("cilium", {}, {}),
        ("cilium-ztunnel", {"io.cilium/mtls-enabled": "true"}, {}),
        ("none", {}, {}),
    ],
)
def test_a_namespace_is_enrolled(mesh: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    enrolment = Registry.installed().create(mesh, INSTALLED).namespace_enrolment()
    assert (enrolment.labels, enrolment.annotations) == (labels, annotations)


def test_a_revision_of_istio_is_named() -> None:
    mesh = Registry.installed().create("istio", INSTALLED)
    mesh.revision = "1-30-3"  # type: ignore[attr-defined]
    assert mesh.namespace_enrolment().labels == {"istio.io/rev": "1-30-3"}


def test_an_adapter_that_says_nothing_of_it_is_named() -> None:
    with pytest.raises(Unsupported, match=r"the adapter of envoy enrols no namespaces: .* namespace\(enrolled=False\)"):
        EnvoyMesh().namespace_enrolment()
