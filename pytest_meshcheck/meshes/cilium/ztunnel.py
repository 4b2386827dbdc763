"""Cilium with ztunnel: mutual TLS for the TCP connections of all pods of enrolled namespaces."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pytest_meshcheck.meshes.base import TlsEndpoint
from pytest_meshcheck.meshes.cilium import variants
from pytest_meshcheck.meshes.cilium.documented import HBONE
from pytest_meshcheck.meshes.cilium.installed import SYSTEM
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.cilium.render import Strictness, access
from pytest_meshcheck.meshes.kubernetes.helm_mesh import secret
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.pki import ROOT_LIFETIME, Issuer, Validity, key_pem, pem
from pytest_meshcheck.model.policy import Policy, ServicePolicy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata

ENROLLED = "io.cilium/mtls-enabled"
"""The label of a namespace; https://docs.cilium.io/en/stable/security/network/encryption-ztunnel/#enrolling-namespaces"""

BITS = 2048


class CiliumZtunnelMesh(CiliumMesh):
    """Istio's ztunnel, with the control plane and authority of Cilium."""

    def __init__(self, request: MeshRequest) -> None:
        super().__init__(request, variants.ZTUNNEL)
        self.authority.sign_with_root(Issuer.self_signed(f"{self.trust_domain} root", key=rsa_key()))

    def secrets(self) -> Sequence[Manifest]:
        """The root that the agents issue under, and their server certificate for ztunnel."""
        root, (certificate, key) = self.authority.issuer, self_signed_server("localhost")
        data = {
            "ca-root.crt": pem(root.certificate),
            "ca-private.key": key_pem(root.key),
            "bootstrap-root.crt": certificate,
            "bootstrap-private.key": key,
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
        host, number = workload.resolve(workload.spec, workload.spec, port, Via.ADDRESS)
        return TlsEndpoint((host, HBONE), None, ("h2",), f"{host}:{number}")


def rsa_key() -> rsa.RSAPrivateKey:
    """A new key; Cilium reads no other kind."""
    return rsa.generate_private_key(public_exponent=65537, key_size=BITS)


def self_signed_server(host: str) -> tuple[bytes, bytes]:
    """The certificate of a server that is its own root, and its key, as PEM."""
    key, name, validity = (
        rsa_key(),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]),
        Validity.of(ROOT_LIFETIME),
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return pem(certificate), key_pem(key)
