"""The embedded mesh with one fault, in its control plane or in what it publishes to data planes."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pytest_meshcheck.meshes.base import Mesh, Rotation
from pytest_meshcheck.meshes.envoy.mesh import TRUST_DOMAIN, EnvoyMesh
from pytest_meshcheck.meshes.registry import Factory, MeshRequest
from pytest_meshcheck.model.pki import Authority, Validity, pem
from pytest_meshcheck.model.policy import Namespace, Policy, ServerPolicy, WholeMesh
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.probe.protocol.messages import Credentials
from tests.falsify.defect import Plant, Resources

Extension = Callable[[x509.Certificate], x509.ExtensionType]
"""From a leaf to the extension that it should have had."""


def factory(mesh_class: type[EnvoyMesh], name: str) -> Factory:
    """How a faulty mesh is asked for by name."""

    def create(order: MeshRequest) -> Mesh:
        mesh = mesh_class(order.version, timeout_scale=order.timeout_scale)
        mesh.name = name
        mesh.prepare()
        return mesh

    return create


def planted(plant: Plant) -> type[EnvoyMesh]:
    """An embedded mesh that publishes its resources with a defect in them."""

    def publish(workload: str, resources: Resources) -> Resources:
        plant(workload, resources)
        return resources

    class Planted(EnvoyMesh):
        def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
            super().__init__(version, publish_hook=publish, timeout_scale=timeout_scale)

    return Planted


def is_wide(policy: Policy) -> bool:
    """Whether a policy about who is let in has more than one workload as its target."""
    return isinstance(policy, ServerPolicy) and isinstance(policy.target, (Namespace, WholeMesh))


class WideScopesIgnored(EnvoyMesh):
    """Takes only such policies for mutual TLS that are about one workload."""

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return super().render([policy for policy in policies if not is_wide(policy)])


class LavishAuthority(Authority):
    """Gives a leaf the lifetime that was asked for, whatever is left of its issuer's."""

    def issue(self, uri: str, lifetime: float) -> Credentials:
        return self.issuer.leaf([uri], Validity.of(timedelta(seconds=lifetime)))


class LeafOutlivesIssuer(EnvoyMesh):
    """Its leaves end after their issuer."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self.authority = LavishAuthority(TRUST_DOMAIN)


class IssuerNotFollowed(EnvoyMesh):
    """Issues under a new issuer only what falls due anyway."""

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        if what is Rotation.ISSUER:
            self.authority.rotate_issuer()
            self.publish()
        else:
            await super().rotate(what, lifetime)


class NoOverlap(EnvoyMesh):
    """Announces none but the new root as soon as it issues under it."""

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        await super().rotate(what, lifetime)
        if what is Rotation.ROOT_SWITCH:
            await super().rotate(Rotation.ROOT_DROP)


def issuing(name: str, extension: Extension) -> type[EnvoyMesh]:
    """An embedded mesh whose leaves have this extension in place of the right one."""

    class AlteringAuthority(Authority):
        def issue(self, uri: str, lifetime: float) -> Credentials:
            return altered(super().issue(uri, lifetime), self, extension)

    class Altering(EnvoyMesh):
        def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
            super().__init__(version, timeout_scale=timeout_scale)
            self.authority = AlteringAuthority(TRUST_DOMAIN)

    Altering.__name__ = name
    return Altering


def altered(credentials: Credentials, authority: Authority, extension: Extension) -> Credentials:
    """The same leaf with one extension exchanged, signed anew."""
    leaf = x509.load_pem_x509_certificate(credentials.chain)
    wrong = extension(leaf)
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.issuer)
        .public_key(load_pem_private_key(credentials.key, None).public_key())  # type: ignore[arg-type]
        .serial_number(leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    for present in leaf.extensions:
        builder = builder.add_extension(wrong if present.oid == wrong.oid else present.value, present.critical)
    certificate = builder.sign(authority.issuer.key, hashes.SHA256())
    return Credentials(chain=pem(certificate, *authority.issuer.chain), key=credentials.key)
