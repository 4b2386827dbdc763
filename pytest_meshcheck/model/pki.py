"""The SPIFFE authority of the suite: root, intermediate, leaves, and hostile certificates.

Leaves follow the X.509-SVID standard (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md): exactly one
URI SAN, CA:FALSE, digitalSignature, an empty subject. Lifetimes are whole seconds, as X.509 has no finer ones.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pytest_meshcheck.model.bundle_form import BundleForm, written
from pytest_meshcheck.probe.protocol.messages import Credentials

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CLOCK_SKEW = datetime.timedelta(seconds=60)
"""The age of NotBefore in a new certificate, so that peers with slow clocks accept it."""

ROOT_LIFETIME = datetime.timedelta(days=3650)
ISSUER_LIFETIME = datetime.timedelta(days=365)
BOTH_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)

NOT_CRITICAL = (x509.ExtendedKeyUsage, x509.AuthorityKeyIdentifier)
"""The extensions of a leaf that are not marked critical."""

KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def now() -> datetime.datetime:
    """The current time in UTC, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Validity:
    """The validity period of a certificate."""

    not_before: datetime.datetime
    not_after: datetime.datetime

    @classmethod
    def of(cls, lifetime: datetime.timedelta) -> "Validity":
        """Valid now and for ``lifetime`` more, backdated by the clock skew."""
        moment = now()
        return cls(moment - CLOCK_SKEW, moment + lifetime)


@dataclass(frozen=True)
class Issuer:
    """A signing certificate, with its key and its chain up to, but without, the root.

    Attributes:
        certificate: The signing certificate; a root for ``Issuer.root``.
        key: Its private key; never part of a representation.
        chain: The certificates that follow a leaf in a handshake: the intermediates, nearest first.
        root: The root of the chain.
    """

    certificate: x509.Certificate
    key: SigningKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate

    @classmethod
    def self_signed(cls, name: str, validity: Validity | None = None, key: SigningKey | None = None) -> "Issuer":
        """A new root; with a new elliptic-curve key unless another is given."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, key, validity or Validity.of(ROOT_LIFETIME))
        certificate = _as_authority(builder, path_length=None).sign(key, hashes.SHA256())
        return cls(certificate, key, (), certificate)

    def intermediate(self, name: str, validity: Validity | None = None) -> "Issuer":
        """A new intermediate below this issuer."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._certified(_name(name), key, validity or Validity.of(ISSUER_LIFETIME))

    def recertified(self, intermediate: "Issuer") -> "Issuer":
        """The same intermediate, name and key, with a new certificate."""
        return self._certified(intermediate.certificate.subject, intermediate.key, Validity.of(ISSUER_LIFETIME))

    def _certified(self, name: x509.Name, key: SigningKey, validity: Validity) -> "Issuer":
        builder = _builder(name, self.certificate.subject, key, validity)
        builder = _as_authority(builder, path_length=0).add_extension(self._key_identifier(), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Issuer(certificate, key, (certificate, *self.chain), self.root)

    def leaf(self, identities: Sequence[str], validity: Validity) -> Credentials:
        """A leaf with exactly these URIs or DNS names as SANs and this validity, without any checks."""
        return self.certify([_san(identity) for identity in identities], validity)

    def certify(
        self, names: Sequence[x509.GeneralName], validity: Validity, *extensions: x509.ExtensionType
    ) -> Credentials:
        """A leaf with these SANs; ``extensions`` replace those of the same type that a leaf has, or are added."""
        key = ec.generate_private_key(ec.SECP256R1())
        usual = (
            x509.BasicConstraints(ca=False, path_length=None),
            key_usage("digital_signature"),
            x509.ExtendedKeyUsage(BOTH_USAGES),
            self._key_identifier(),
            *([x509.SubjectAlternativeName(names)] if names else []),
        )
        builder = _builder(x509.Name([]), self.certificate.subject, key, validity)
        for extension in {type(one): one for one in (*usual, *extensions)}.values():
            builder = builder.add_extension(extension, critical=not isinstance(extension, NOT_CRITICAL))
        certificate = builder.sign(self.key, hashes.SHA256())
        return Credentials(chain=pem(certificate, *self.chain), key=key_pem(key))

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


class Authority:
    """The authority of one mesh: announces roots, issues leaves from one intermediate, rotates both.

    Attributes:
        trust_domain: The SPIFFE trust domain, e.g. ``cluster.local``.
        roots: The announced roots, in order of announcement.
        issuer: The intermediate that signs leaves now.
        previous: The previous intermediate; None before the first rotation.
        next_issuer: The intermediate under an added root, until the switch to it.
        root_issuers: The issuers of all roots so far, by certificate.
        generation: The number of issuers so far; it makes their names unique.
        form: How the roots are written into one file.
    """

    def __init__(self, trust_domain: str) -> None:
        self.trust_domain = trust_domain
        self.form = BundleForm.PLAIN
        self.generation = 0
        self.root_issuers: dict[x509.Certificate, Issuer] = {}
        self.issuer = self._new_root_and_issuer()
        self.previous: Issuer | None = None
        self.roots: tuple[x509.Certificate, ...] = (self.issuer.root,)
        self.next_issuer: Issuer | None = None

    def bundle(self) -> bytes:
        """The announced roots as PEM."""
        return written(self.roots, self.form)

    def issue(self, identity: str, lifetime: float) -> Credentials:
        """A leaf with this lifetime in seconds, but never beyond that of an issuer above it (RFC 5280 6.1)."""
        wanted = Validity.of(datetime.timedelta(seconds=lifetime))
        above = (*self.issuer.chain, self.issuer.root)
        limit = min(certificate.not_valid_after_utc for certificate in above)
        return self.issuer.leaf([identity], Validity(wanted.not_before, min(wanted.not_after, limit)))

    def sign_with_root(self, root: Issuer) -> None:
        """Announce this root alone, and have it sign leaves itself."""
        self.root_issuers = {root.certificate: root}
        self.roots, self.issuer = (root.certificate,), root

    def rotate_issuer(self, validity: Validity | None = None) -> None:
        """A new intermediate under the same root."""
        parent = self.root_issuers[self.issuer.root]
        self.generation += 1
        self._issue_from(parent.intermediate(f"issuer {self.generation}", validity))

    def recertify_issuer(self) -> None:
        """A new certificate of the present intermediate, for the same key and name."""
        self._issue_from(self.root_issuers[self.issuer.root].recertified(self.issuer))

    def add_root(self) -> None:
        """Announce a second root; leaves are still issued under the first."""
        self.next_issuer = self._new_root_and_issuer()
        self.roots = (*self.roots, self.next_issuer.root)

    def switch_root(self) -> None:
        """Issue leaves under the root that was added last.

        Raises:
            RuntimeError: No root was added.
        """
        if self.next_issuer is None:
            raise RuntimeError("no root was added: call add_root() first")
        self._issue_from(self.next_issuer)
        self.next_issuer = None

    def drop_root(self) -> None:
        """Announce only the root that leaves are issued under."""
        self.roots = (self.issuer.root,)

    def _issue_from(self, issuer: Issuer) -> None:
        self.previous, self.issuer = self.issuer, issuer

    def _new_root_and_issuer(self) -> Issuer:
        self.generation += 1
        root = Issuer.self_signed(f"{self.trust_domain} root {self.generation}")
        self.root_issuers[root.certificate] = root
        return root.intermediate(f"issuer {self.generation}")


def spiffe_id(trust_domain: str, namespace: str, service_account: str) -> str:
    """The SPIFFE ID in the format of meshes on Kubernetes."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}"


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates as one PEM text."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def key_usage(*usages: str) -> x509.KeyUsage:
    """The extension with these usages, by the names that ``cryptography`` gives them, and no others."""
    return x509.KeyUsage(**dict.fromkeys(KEY_USAGES, False) | dict.fromkeys(usages, True))


def parsed_chain(chain: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """The DER certificates of a handshake, parsed."""
    return tuple(x509.load_der_x509_certificate(der) for der in chain)


def is_signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    """Whether a certificate names another one as its issuer, and that one's key signed it."""
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def certificates_in(pem: str) -> frozenset[x509.Certificate]:
    """The certificates of a PEM text, whatever its order and comments; none of an empty one."""
    return frozenset(x509.load_pem_x509_certificates(pem.encode())) if pem.strip() else frozenset()


def _san(identity: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(identity) if "://" in identity else x509.DNSName(identity)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: SigningKey, validity: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int | None) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        key_usage("key_cert_sign", "crl_sign"), critical=True
    )


def key_pem(key: SigningKey) -> bytes:
    """A private key as PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
