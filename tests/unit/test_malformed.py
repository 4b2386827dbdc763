"""Certificates by recipe, and the corpus of those that have to be refused."""

import datetime
import importlib
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_meshcheck.model.malformed import IssuedBy, Recipe
from pytest_meshcheck.model.pki import Authority, Validity
from pytest_meshcheck.probe.protocol.messages import ClientTls, Credentials
from pytest_meshcheck.probe.protocol.tls_contexts import client_context

RIGHT = "spiffe://cluster.local/ns/grey/sa/impostor"
DNS_NAME = "impostor.grey.serviceaccount.identity.linkerd.cluster.local"
HOUR = Validity.of(datetime.timedelta(hours=1))
AUTHORITY = Authority("cluster.local")
CORPUS = importlib.import_module("pytest_meshcheck.conformance.mtls.test_malformed").corpus()
NEAR_MISSES = importlib.import_module("pytest_meshcheck.conformance.mtls.test_near_misses").NEAR_MISSES
MESH: Any = SimpleNamespace(authority=AUTHORITY)


def minted(**recipe: Any) -> list[x509.Certificate]:
    names = recipe.pop("names", (f"URI:{RIGHT}",))
    credentials = Recipe(names=names, **recipe).mint(AUTHORITY.issuer, HOUR)
    chain = x509.load_pem_x509_certificates(credentials.chain)
    assert load_pem_private_key(credentials.key, None).public_key() == chain[0].public_key()
    return chain


def extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> Any:
    return certificate.extensions.get_extension_for_class(kind).value


def test_what_a_recipe_leaves_out_is_as_in_a_good_leaf() -> None:
    leaf, *above = minted()
    good = x509.load_pem_x509_certificates(AUTHORITY.issue(RIGHT, 3600.0).chain)
    assert [(one.oid, one.critical, one.value) for one in leaf.extensions] == [
        (one.oid, one.critical, one.value) for one in good[0].extensions
    ]
    assert above == good[1:]


def test_names_have_their_types() -> None:
    names = ("URI:a://b", "DNS:c", "URI:d\0e")
    sans = extension(minted(names=names)[0], x509.SubjectAlternativeName)
    assert sans.get_values_for_type(x509.UniformResourceIdentifier) == ["a://b", "d\0e"]
    assert sans.get_values_for_type(x509.DNSName) == ["c"]


def test_no_names_are_no_extension() -> None:
    with pytest.raises(x509.ExtensionNotFound):
        extension(minted(names=())[0], x509.SubjectAlternativeName)


def test_usages_are_those_of_the_recipe() -> None:
    leaf, *_ = minted(ca=True, key_usage=("key_cert_sign",), extended_key_usage=("client_auth",))
    usage = extension(leaf, x509.KeyUsage)
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (False, True, False)
    assert list(extension(leaf, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert extension(leaf, x509.BasicConstraints).ca


def test_an_unknown_extension_is_critical() -> None:
    leaf, *_ = minted(unknown_extension=True)
    (unknown,) = [one for one in leaf.extensions if isinstance(one.value, x509.UnrecognizedExtension)]
    assert unknown.critical


@pytest.mark.parametrize(("issued_by", "is_authority"), [(IssuedBy.LEAF, False), (IssuedBy.TOO_DEEP, True)])
def test_others_can_issue(issued_by: IssuedBy, is_authority: bool) -> None:
    leaf, above, issuer = minted(issued_by=issued_by)
    leaf.verify_directly_issued_by(above)
    above.verify_directly_issued_by(issuer)
    assert extension(above, x509.BasicConstraints).ca is is_authority
    assert extension(issuer, x509.BasicConstraints).path_length == 0


def test_a_recipe_that_is_misspelt_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `key_usages`"):
        msgspec.convert({"names": [], "key_usages": []}, Recipe)


def test_cases_are_told_apart() -> None:
    assert len({case.id for case in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.id)
def test_every_case_can_be_shown_and_asks_for_something(case: Any) -> None:
    for right in [RIGHT] if case.spiffe else [RIGHT, DNS_NAME]:
        credentials: Credentials = case.mint(MESH, right)
        client_context(ClientTls(credentials=credentials))
        good = AUTHORITY.issue(right, 3600.0)
        leaf, good_leaf = (x509.load_pem_x509_certificate(one.chain) for one in (credentials, good))
        assert [one.value for one in leaf.extensions] != [one.value for one in good_leaf.extensions]
    assert "refused" in (case.as_client, case.as_server)
    assert case.clause.quote


@pytest.mark.parametrize("right", [RIGHT, DNS_NAME])
def test_near_misses_are_names_of_their_own(right: str) -> None:
    names = {near(right, "cluster.local") for near in NEAR_MISSES.values()}
    assert len(names) == len(NEAR_MISSES)
    assert right not in names


@pytest.mark.parametrize(
    ("near", "name"),
    [
        ("ends-with-it", "spiffe://xcluster.local/ns/grey/sa/impostor"),
        ("one-segment-less", "spiffe://cluster.local/ns/grey/sa"),
        ("other-case", "spiffe://cluster.local/NS/GREY/SA/IMPOSTOR"),
        ("other-trust-domain", "spiffe://foreign.example/ns/grey/sa/impostor"),
        ("any-character-for-a-dot", "spiffe://clusterxlocal/ns/grey/sa/impostor"),
    ],
)
def test_near_misses_are_near(near: str, name: str) -> None:
    assert NEAR_MISSES[near](RIGHT, "cluster.local") == name
