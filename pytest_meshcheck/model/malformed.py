"""Malformed certificates, which no authority may issue or no peer may accept, made from a recipe."""

import enum
from collections.abc import Mapping

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_meshcheck.model.pki import Issuer, Validity, key_usage
from pytest_meshcheck.probe.protocol.messages import Credentials

SAN_TYPES: Mapping[str, type[x509.UniformResourceIdentifier | x509.DNSName]] = {
    "URI": x509.UniformResourceIdentifier,
    "DNS": x509.DNSName,
}
PURPOSES = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
}
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00")
"""An unknown extension, under an identifier of the arc for UUIDs."""


class IssuedBy(enum.StrEnum):
    """Who signs."""

    ISSUER = "issuer"
    LEAF = "leaf"
    """A good leaf of the same identity, which is no authority."""
    TOO_DEEP = "too-deep"
    """An authority below the issuer, whose path length allows none."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to make a leaf; with the defaults it is well-formed.

    Attributes:
        names: SANs with their types, as ``URI:spiffe://cluster.local/ns/blue/sa/client`` or ``DNS:client.blue``.
        ca: ``cA`` in the basic constraints.
        key_usage: The bits that are set, by the names that ``cryptography`` gives them.
        extended_key_usage: Keys of ``PURPOSES``.
        unknown_extension: Whether it has an unknown critical extension.
        issued_by: Who signs.
    """

    names: tuple[str, ...]
    ca: bool = False
    key_usage: tuple[str, ...] = ("digital_signature",)
    extended_key_usage: tuple[str, ...] = ("server_auth", "client_auth")
    unknown_extension: bool = False
    issued_by: IssuedBy = IssuedBy.ISSUER

    def mint(self, issuer: Issuer, validity: Validity) -> Credentials:
        """The leaf with its chain.

        Raises:
            KeyError: There is no such type of SAN, or no such purpose.
            TypeError: There is no such bit of key usage.
        """
        names = [_san(name) for name in self.names]
        return self._signer(issuer, validity).certify(
            names,
            validity,
            x509.BasicConstraints(ca=self.ca, path_length=None),
            key_usage(*self.key_usage),
            x509.ExtendedKeyUsage([PURPOSES[purpose] for purpose in self.extended_key_usage]),
            *([UNKNOWN] if self.unknown_extension else []),
        )

    def _signer(self, issuer: Issuer, validity: Validity) -> Issuer:
        match self.issued_by:
            case IssuedBy.ISSUER:
                return issuer
            case IssuedBy.TOO_DEEP:
                return issuer.intermediate("too deep", validity)
            case IssuedBy.LEAF:
                return _as_issuer(issuer.certify([_san(name) for name in self.names], validity), issuer)


def _as_issuer(credentials: Credentials, above: Issuer) -> Issuer:
    chain = x509.load_pem_x509_certificates(credentials.chain)
    key = load_pem_private_key(credentials.key, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"leaves have keys on elliptic curves, not {type(key).__name__}")
    return Issuer(chain[0], key, tuple(chain), above.root)


def _san(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    return SAN_TYPES[kind](value)
