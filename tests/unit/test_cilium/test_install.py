"""What is there before the chart: keys, certificates, definitions."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.cilium.adapter import ipsec, spire, wireguard, ztunnel
from pytest_meshcheck.meshes.cilium.linkerd_on_cilium import LinkerdOnCilium
from pytest_meshcheck.meshes.cilium.variants import BELOW_LINKERD
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.meshes.registry import Factory, MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable, Unsupported
from pytest_meshcheck.model.pki_archive import archived, restore
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

from .conftest import Judged, NoHooks


@pytest.mark.parametrize("factory", [wireguard, spire])
def test_agents_make_their_own_keys(factory: Factory, judged: Judged) -> None:
    assert judged(factory).secrets() == ()


def test_the_key_of_ipsec_is_the_same_in_every_process_of_a_run(judged: Judged) -> None:
    first, second, other = judged(ipsec), judged(ipsec), judged(ipsec)
    restore(second.authority, archived(first.authority))
    keys = [mesh.secrets()[0]["stringData"]["keys"] for mesh in (first, second, other)]
    assert keys[0] == keys[1] != keys[2]
    assert re.fullmatch(r"3\+ rfc4106\(gcm\(aes\)\) [0-9a-f]{40} 128", keys[0])


def test_ztunnel_is_given_a_root_that_its_certificates_are_judged_by(judged: Judged) -> None:
    mesh = judged(ztunnel)
    (secret,) = mesh.secrets()
    data = {name: text.encode() for name, text in secret["stringData"].items()}
    root = x509.load_pem_x509_certificate(data["ca-root.crt"])
    assert mesh.authority.roots == (root,)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    bootstrap = x509.load_pem_x509_certificate(data["bootstrap-root.crt"])
    names = bootstrap.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    for certificate, key in ((root, "ca-private.key"), (bootstrap, "bootstrap-private.key")):
        certificate.verify_directly_issued_by(certificate)
        private = load_pem_private_key(data[key], None)
        assert isinstance(private, rsa.RSAPrivateKey)
        assert private.public_key() == certificate.public_key()
        assert data[key].startswith(b"-----BEGIN PRIVATE KEY-----")


def test_no_representation_holds_a_key(judged: Judged) -> None:
    mesh = judged(ztunnel)
    mesh.secrets()
    assert "PRIVATE" not in repr(vars(mesh))


@pytest.mark.parametrize("what", Rotation)
def test_nothing_is_rotated(what: Rotation, judged: Judged) -> None:
    with pytest.raises(Unsupported, match="cilium-ztunnel cannot rotate certificates"):
        asyncio.run(judged(ztunnel).rotate(what))


def definition(name: str) -> str:
    return f"kind: CustomResourceDefinition\nmetadata: {{name: {name}}}\n"


def test_definitions_from_a_directory_of_charts(tmp_path: Path) -> None:
    folder = tmp_path / "gateway-api" / "experimental"
    folder.mkdir(parents=True)
    (folder / "b.yaml").write_text(definition("b"))
    (folder / "a.yaml").write_text(
        f"{definition('a')}---\nkind: ValidatingAdmissionPolicy\n---\n{definition('c')}---\n"
    )
    found = gateway_api.local(str(tmp_path))
    assert found is not None
    assert [one["metadata"]["name"] for one in found] == ["a", "c", "b"]


@pytest.mark.parametrize("charts", [None, "https://charts.example", "oci://charts.example"])
def test_definitions_of_the_release(charts: str | None) -> None:
    assert gateway_api.local(charts) is None


def test_a_directory_without_definitions(tmp_path: Path) -> None:
    assert gateway_api.local(str(tmp_path)) is None


def test_a_definition_that_is_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "gateway-api").mkdir()
    (tmp_path / "gateway-api" / "broken.yaml").write_text("a: [")
    with pytest.raises(MeshUnavailable, match=r"broken\.yaml is not YAML"):
        gateway_api.local(str(tmp_path))


@pytest.mark.parametrize("channel", ["standard", "experimental"])
def test_definitions_without_retries_are_refused_before_anything_is_made(channel: str, tmp_path: Path) -> None:
    rules = {"retry": {}} if channel == "experimental" else {}
    schema: dict[str, Any] = {"properties": {"spec": {"properties": {"rules": {"items": {"properties": rules}}}}}}
    route = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": gateway_api.ROUTES},
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
    }
    (tmp_path / "gateway-api").mkdir()
    (tmp_path / "gateway-api" / "routes.yaml").write_text(json.dumps(route))
    made: list[str] = []

    class Cluster:
        async def read(self, _path: str) -> None:
            """It has no definition."""

        async def apply(self, definition: dict[str, Any]) -> None:
            made.append(definition["metadata"]["name"])

        async def until(self, *_asked: object) -> None:
            """They are served."""

    ensured = gateway_api.ensure(cast("Api", Cluster()), "v1.4.1", str(tmp_path), {})
    if channel == "experimental":
        asyncio.run(ensured)
    else:
        said = r"HTTPRoute in .*/gateway-api is of the standard channel, in which it has no retry"
        with pytest.raises(MeshUnavailable, match=said):
            asyncio.run(ensured)
    assert made == ([gateway_api.ROUTES] if channel == "experimental" else [])


def test_linkerd_on_cilium_claims_what_linkerd_claims() -> None:
    order = MeshRequest("edge-26.8.3", 1.0, NoHooks(), installed=True)
    mesh = LinkerdOnCilium(order)
    assert (mesh.name, mesh.version) == ("linkerd+cilium", "edge-26.8.3")
    assert mesh.claims == LinkerdMesh(order).claims
    assert mesh.network.variant is BELOW_LINKERD
    assert mesh.network.version == "1.20.0"


def test_linkerd_on_another_cluster_has_a_network_of_its_own() -> None:
    mesh = LinkerdOnCilium(MeshRequest("edge-26.8.3", 1.0, NoHooks(), installed=True))
    twin = mesh.clone()
    assert twin.network is not mesh.network
    assert twin.network.variant is BELOW_LINKERD
    assert twin.authority is mesh.authority
