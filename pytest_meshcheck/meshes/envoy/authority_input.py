"""Validation of the files of an authority, before the embedded control plane issues under it."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.pki import is_signed_by


def complaint(files: AuthorityFiles) -> str:
    """The flaw of the files; empty if they are sound."""
    try:
        issuer = x509.load_pem_x509_certificate(files.certificate)
        key = serialization.load_pem_private_key(files.key, None)
        roots = x509.load_pem_x509_certificates(files.roots)
    except ValueError as error:
        what, _, _ = str(error).partition(". See ")  # the rest leads to the library's own documentation
        return f"the authority's files cannot be read: {what}"
    if key.public_key() != issuer.public_key():
        return "the authority's key does not belong to its certificate"
    if not issuer.not_valid_before_utc <= datetime.now(UTC) <= issuer.not_valid_after_utc:
        return f"the authority's certificate is not valid now, but until {issuer.not_valid_after_utc}"
    if not any(is_signed_by(issuer, root) for root in roots):
        return "the authority's certificate chains to no announced root"
    return ""
