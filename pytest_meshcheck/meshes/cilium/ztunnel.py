"""Cilium with ztunnel: mutual TLS for the TCP connections of all pods of enrolled namespaces."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pytest_meshcheck.meshes.base import TlsEndpoint
from pytest_meshcheck.meshes.cilium import variants
from pytest_meshcheck.meshes.cilium.installed import SYSTEM
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.cilium.render import Strictness, access
from pytest_meshcheck.meshes.kubernetes.helm_mesh import secret
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.pki import ROOT_LIFETIME, Validity, pem
from pytest_meshcheck.model.policy import Policy, ServicePolicy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata

ENROLLED = "io.cilium/mtls-enabled"
"""The label of a namespace; https://docs.cilium.io/en/stable/security/network/encryption-ztunnel/#enrolling-namespaces"""

HBONE = 15008
BITS = 2048


class CiliumZtunnelMesh(CiliumMesh):
    """Istio's ztunnel, with the control plane and authority of Cilium."""

    def __init__(self, request: MeshRequest) -> None:
        super().__init__(request, variants.ZTUNNEL)

    def secrets(self) -> Sequence[Manifest]:
        """The root that the agents issue under, and their server certificate for ztunnel; both must be RSA.

        The certificates of workloads chain to this root from now on.
        """
        self.authority.roots = (self._root.certificate,)
        data = {
            "ca-root.crt": pem(self._root.certificate),
            "ca-private.key": self._root.key_pem,
            "bootstrap-root.crt": pem(self._bootstrap.certificate),
            "bootstrap-private.key": self._bootstrap.key_pem,
        }
        return [secret(SYSTEM, "cilium-ztunnel-secrets", data)]

    def enrolment(self, workload: WorkloadSpec) -> Metadata:
        """Labels of the namespace: enrolment is by namespace."""
        return Metadata(namespace_labels={ENROLLED: "true"} if workload.enrolment is Enrolment.ENROLLED else {})

    def namespace_enrolment(self) -> Metadata:
        """The label that enrols a namespace."""
        return Metadata({ENROLLED: "true"})

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Network policies alone: ztunnel is always permissive, and cannot be configured otherwise.

        Raises:
            Unsupported: A policy asks for more.
        """
        made = access(policies, Strictness(self.variant.why_not_strict, self.variant.source, permissive=True))
        if other := [policy for policy in policies if isinstance(policy, ServicePolicy)]:
            raise Unsupported(
                f"{type(other[0]).__name__} needs layer 7, ztunnel works on layer 4 ({self.variant.source})"
            )
        return made

    def endpoint(self, workload: Workload, port: str) -> TlsEndpoint:
        """The tunnel port of ztunnel at the pod's address; the CONNECT inside names the port of the workload."""
        host, _ = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint((host, HBONE), None, ("h2",))

    @cached_property
    def _root(self) -> "SelfSigned":
        return SelfSigned.root(f"{self.trust_domain} root")

    @cached_property
    def _bootstrap(self) -> "SelfSigned":
        return SelfSigned.server("localhost")


@dataclass(frozen=True)
class SelfSigned:
    """A self-signed certificate with an RSA key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    def __repr__(self) -> str:
        return f"SelfSigned({self.certificate.subject.rfc4514_string()!r})"

    @property
    def key_pem(self) -> bytes:
        """The key as PKCS #8, which is what Cilium reads."""
        encryption = serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)

    @classmethod
    def root(cls, name: str) -> "SelfSigned":
        """A root that signs leaves directly."""
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return cls._of(name, [(x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)])

    @classmethod
    def server(cls, host: str) -> "SelfSigned":
        """A self-signed certificate of one server."""
        return cls._of(host, [(x509.SubjectAlternativeName([x509.DNSName(host)]), False)])

    @classmethod
    def _of(cls, name: str, extensions: Sequence[tuple[x509.ExtensionType, bool]]) -> "SelfSigned":
        key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        validity = Validity.of(ROOT_LIFETIME)
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(validity.not_before)
            .not_valid_after(validity.not_after)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return cls(builder.sign(key, hashes.SHA256()), key)
