"""Each mesh enrols whole namespaces by what its documentation says."""

from collections.abc import Mapping

import pytest

from pytest_meshcheck.meshes.base import Mesh, namespace_enrolment_of
from pytest_meshcheck.meshes.registry import Order, Registry
from pytest_meshcheck.model.errors import Unsupported

INSTALLED = Order(None, 1.0, None, installed=True)  # type: ignore[arg-type]


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
    enrolment = namespace_enrolment_of(Registry.installed().create(mesh, INSTALLED))
    assert (enrolment.labels, enrolment.annotations) == (labels, annotations)


def test_a_revision_of_istio_is_named() -> None:
    mesh = Registry.installed().create("istio", INSTALLED)
    mesh.revision = "1-30-3"  # type: ignore[attr-defined]
    assert namespace_enrolment_of(mesh).labels == {"istio.io/rev": "1-30-3"}


class Acme:
    """An adapter that says nothing of namespaces."""

    name = "acme"


def test_an_adapter_that_says_nothing_of_it_is_named() -> None:
    mesh: Mesh = Acme()  # type: ignore[assignment]
    with pytest.raises(Unsupported, match=r"the adapter of acme enrols no namespaces: .* namespace\(enrolled=False\)"):
        namespace_enrolment_of(mesh)
