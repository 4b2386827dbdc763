"""Serialisation of an authority with its keys, only for a Secret."""

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pytest_meshcheck.model.pki import Authority, Issuer, SigningKey, key_pem, pem


class ArchivedIssuer(msgspec.Struct, frozen=True):
    """An issuer as PEM texts; the chain begins with the issuer itself, unless it is a root."""

    certificate: bytes
    key: bytes
    chain: bytes
    root: bytes


class Archive(msgspec.Struct, frozen=True):
    """The complete state of an authority."""

    trust_domain: str
    generation: int
    roots: bytes
    """The announced roots, in order."""
    root_issuers: tuple[ArchivedIssuer, ...]
    issuer: ArchivedIssuer
    previous: ArchivedIssuer | None
    next_issuer: ArchivedIssuer | None


def archived(authority: Authority) -> bytes:
    """The authority as JSON, with its private keys."""
    return msgspec.json.encode(
        Archive(
            trust_domain=authority.trust_domain,
            generation=authority.generation,
            roots=pem(*authority.roots),
            root_issuers=tuple(_packed(issuer) for issuer in authority.root_issuers.values()),
            issuer=_packed(authority.issuer),
            previous=_packed(authority.previous) if authority.previous else None,
            next_issuer=_packed(authority.next_issuer) if authority.next_issuer else None,
        )
    )


def restore(authority: Authority, data: bytes) -> None:
    """Set an authority to an archived state.

    Raises:
        msgspec.DecodeError: The text is not an archive.
    """
    archive = msgspec.json.decode(data, type=Archive)
    authority.trust_domain = archive.trust_domain
    authority.generation = archive.generation
    authority.roots = tuple(x509.load_pem_x509_certificates(archive.roots))
    issuers = [_unpacked(issuer) for issuer in archive.root_issuers]
    authority.root_issuers = {issuer.certificate: issuer for issuer in issuers}
    authority.issuer = _unpacked(archive.issuer)
    authority.previous = _unpacked(archive.previous) if archive.previous else None
    authority.next_issuer = _unpacked(archive.next_issuer) if archive.next_issuer else None


def _packed(issuer: Issuer) -> ArchivedIssuer:
    return ArchivedIssuer(pem(issuer.certificate), key_pem(issuer.key), pem(*issuer.chain), pem(issuer.root))


def _unpacked(packed: ArchivedIssuer) -> Issuer:
    key = serialization.load_pem_private_key(packed.key, None)
    if not isinstance(key, SigningKey):
        raise TypeError(f"an issuer's key must be an elliptic-curve or RSA key, not {type(key).__name__}")
    chain = tuple(x509.load_pem_x509_certificates(packed.chain)) if packed.chain else ()
    return Issuer(
        x509.load_pem_x509_certificate(packed.certificate), key, chain, x509.load_pem_x509_certificate(packed.root)
    )
