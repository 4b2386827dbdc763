"""On which ports, and at which of its addresses, a client's data plane can be made to meet an impostor."""

from types import SimpleNamespace

import pytest

from pytest_meshcheck.meshes.istio.ambient import AmbientMesh
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.workload_spec import Via
from pytest_meshcheck.testbed.mesh import MeshUnderTest

MET = [
    # adapter, port, called by, whether an impostor is met
    (IstioMesh, "http", Via.ADDRESS, True),
    (IstioMesh, "tcp", Via.SERVICE, True),
    (IstioMesh, "tcp", Via.ADDRESS, False),
    (AmbientMesh, "tcp", Via.ADDRESS, True),
    (LinkerdMesh, "tcp", Via.SERVICE, False),
]


@pytest.mark.parametrize(("adapter", "port", "via", "met"), MET)
def test_only_a_data_plane_that_speaks_tls_there_meets_impostors(adapter: type, port: str, via: Via, met: bool) -> None:
    mesh = MeshUnderTest.__new__(MeshUnderTest)
    mesh.adapter = adapter  # type: ignore[assignment]
    assert mesh.meets_impostors(port, via) is met


def test_a_check_that_needs_a_port_for_impostors_is_unsupported_where_there_is_none() -> None:
    mesh = MeshUnderTest.__new__(MeshUnderTest)
    mesh.adapter = SimpleNamespace(name="acme", impostor_ports=("http",), plaintext_by_address=())  # type: ignore[assignment]
    assert mesh.ports_that_meet_impostors("http", "tcp") == ("http",)
    with pytest.raises(Unsupported, match="acme lets clients reach an impostor on none of grpc, tcp"):
        mesh.ports_that_meet_impostors("grpc", "tcp")
