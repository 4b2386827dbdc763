"""The files of an authority: what is wrong with broken ones, and the forms of a bundle."""

import pytest
from cryptography import x509

from pytest_meshcheck.meshes.envoy.authority_input import complaint
from pytest_meshcheck.model.authority_files import AuthorityFiles, Flaw, broken
from pytest_meshcheck.model.bundle_form import BundleForm, written
from pytest_meshcheck.model.pki import Authority, is_signed_by

COMPLAINTS = {
    Flaw.EMPTY: "cannot be read",
    Flaw.TRUNCATED: "cannot be read",
    Flaw.MISMATCHED: "the authority's key does not belong to its certificate",
    Flaw.EXPIRED: "is not valid now",
    Flaw.FOREIGN: "chains to no announced root",
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    one = Authority("cluster.local")
    one.add_root()
    return one


def test_sound_files_are_taken(authority: Authority) -> None:
    assert complaint(AuthorityFiles.of(authority)) == ""


@pytest.mark.parametrize("flaw", Flaw)
def test_each_flaw_is_named_in_one_line_without_the_key(authority: Authority, flaw: Flaw) -> None:
    said = complaint(broken(authority, flaw))
    assert COMPLAINTS[flaw] in said
    assert "\n" not in said
    assert "PRIVATE" not in said


def test_files_do_not_show_their_key(authority: Authority) -> None:
    assert "PRIVATE" not in repr(AuthorityFiles.of(authority))


@pytest.mark.parametrize("form", BundleForm)
def test_every_form_announces_the_same_roots_in_another_text(authority: Authority, form: BundleForm) -> None:
    text = written(authority.roots, form)
    assert set(x509.load_pem_x509_certificates(text)) == set(authority.roots)
    assert (text == written(authority.roots, BundleForm.PLAIN)) == (form is BundleForm.PLAIN)


def test_a_new_certificate_of_the_issuer_is_for_the_same_key(authority: Authority) -> None:
    before = authority.issuer
    authority.recertify_issuer()
    after = authority.issuer
    assert after.certificate != before.certificate
    assert after.certificate.public_key() == before.certificate.public_key()
    assert after.certificate.subject == before.certificate.subject
    after.certificate.verify_directly_issued_by(after.root)


def test_a_leaf_is_signed_by_both_certificates_of_its_issuers_key_and_by_no_other_issuer() -> None:
    one = Authority("cluster.local")
    leaf = x509.load_pem_x509_certificate(one.issue("spiffe://cluster.local/ns/blue/sa/server", 60).chain)
    before = one.issuer.certificate
    one.recertify_issuer()
    assert is_signed_by(leaf, before)
    assert is_signed_by(leaf, one.issuer.certificate)
    one.rotate_issuer()
    assert not is_signed_by(leaf, one.issuer.certificate)
    assert not is_signed_by(leaf, one.issuer.root)
