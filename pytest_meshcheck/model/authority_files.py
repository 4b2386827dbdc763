"""The files of the certificate authority that a mesh is given, sound and broken."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pytest_meshcheck.model.bundle_form import written
from pytest_meshcheck.model.pki import Authority, Issuer, Validity, key_pem, pem


@dataclass(frozen=True)
class AuthorityFiles:
    """What a control plane needs to issue certificates, each as PEM.

    Attributes:
        certificate: The certificate of the issuer.
        key: Its private key.
        chain: The issuer's certificate, and those of the issuers above it but the root.
        roots: The announced roots.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    chain: bytes
    roots: bytes

    @classmethod
    def of(cls, authority: Authority) -> "AuthorityFiles":
        """The files of an authority as it is now."""
        return cls.under(authority.issuer, written(authority.roots, authority.form))

    @classmethod
    def under(cls, issuer: Issuer, roots: bytes) -> "AuthorityFiles":
        """The files of an issuer, with these roots."""
        return cls(pem(issuer.certificate), key_pem(issuer.key), pem(*issuer.chain), roots)


class Flaw(enum.StrEnum):
    """A flaw of such files."""

    EMPTY = "empty"
    """The issuer's certificate is an empty file."""
    TRUNCATED = "truncated"
    """The issuer's certificate ends in the middle, as if it was read while it was written."""
    MISMATCHED = "mismatched"
    """The key belongs to another certificate."""
    EXPIRED = "expired"
    """The issuer's certificate has expired."""
    FOREIGN = "foreign"
    """The issuer's certificate chains to a root that is not announced."""


def _empty(authority: Authority) -> AuthorityFiles:
    return replace(AuthorityFiles.of(authority), certificate=b"", chain=b"")


def _truncated(authority: Authority) -> AuthorityFiles:
    sound = AuthorityFiles.of(authority)
    half = sound.certificate[: len(sound.certificate) // 2]
    return replace(sound, certificate=half, chain=half)


def _mismatched(authority: Authority) -> AuthorityFiles:
    return replace(AuthorityFiles.of(authority), key=key_pem(_parent(authority).intermediate("another").key))


def _expired(authority: Authority) -> AuthorityFiles:
    gone = _parent(authority).intermediate("expired issuer", Validity.of(timedelta(seconds=-1)))
    return AuthorityFiles.under(gone, AuthorityFiles.of(authority).roots)


def _foreign(authority: Authority) -> AuthorityFiles:
    stranger = Issuer.self_signed("unannounced root").intermediate("foreign issuer")
    return AuthorityFiles.under(stranger, AuthorityFiles.of(authority).roots)


def _parent(authority: Authority) -> Issuer:
    return authority.root_issuers[authority.issuer.root]


BROKEN: Mapping[Flaw, Callable[[Authority], AuthorityFiles]] = {
    Flaw.EMPTY: _empty,
    Flaw.TRUNCATED: _truncated,
    Flaw.MISMATCHED: _mismatched,
    Flaw.EXPIRED: _expired,
    Flaw.FOREIGN: _foreign,
}


def broken(authority: Authority, flaw: Flaw) -> AuthorityFiles:
    """The files of an authority, with a flaw."""
    return BROKEN[flaw](authority)
