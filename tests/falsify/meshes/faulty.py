"""The embedded mesh with one fault, in its control plane or in what it publishes to data planes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pytest_meshcheck.meshes.base import Mesh, Rotation
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.sidecar_mesh import TRUST_DOMAIN, DataPlane
from pytest_meshcheck.meshes.registry import Factory, MeshRequest
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.pki import Authority, Validity, pem
from pytest_meshcheck.model.policy import Namespace, Policy, ServerPolicy, WholeMesh
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.local.addresses import Member
from pytest_meshcheck.probe.protocol.messages import Credentials
from tests.falsify.defect import Plant, Resources

Extension = Callable[[x509.Certificate], x509.ExtensionType]
"""From a leaf to the extension that it has in place of the right one."""

Extensions = Callable[[x509.Certificate], list["x509.Extension[x509.ExtensionType]"]]
"""From a sound leaf to the extensions of the one that is issued."""


def factory(mesh_class: type[EnvoyMesh], name: str) -> Factory:
    """How a faulty mesh is asked for by name."""

    def create(order: MeshRequest) -> Mesh:
        mesh = mesh_class(order.version, timeout_scale=order.timeout_scale)
        mesh.name = name
        mesh.prepare()
        return mesh

    return create


def planted(plant: Plant, sound: type[EnvoyMesh] = EnvoyMesh) -> type[EnvoyMesh]:
    """An embedded mesh that publishes its resources with a defect in them."""

    def publish(workload: str, resources: Resources) -> Resources:
        plant(workload, resources)
        return resources

    class Planted(sound):  # type: ignore[misc, valid-type]
        def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
            super().__init__(version, publish_hook=publish, timeout_scale=timeout_scale)

    return Planted


class ConnectionsKept(EnvoyMesh):
    """Does not let the reuse of connections be bounded."""

    claims = EnvoyMesh.claims | {Capability.CONNECTION_REUSE: Claim(False, "", "connections are kept")}


def is_wide(policy: Policy) -> bool:
    """Whether a policy about who is let in has more than one workload as its target."""
    return isinstance(policy, ServerPolicy) and isinstance(policy.target, (Namespace, WholeMesh))


class WideScopesIgnored(EnvoyMesh):
    """Takes only such policies for mutual TLS that are about one workload."""

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return super().render([policy for policy in policies if not is_wide(policy)])


BRIEF = 19.0
"""Seconds of a certificate."""


class LavishAuthority(Authority):
    """Gives a leaf the lifetime that was asked for, whatever is left of its issuer's."""

    def issue(self, uri: str, lifetime: float) -> Credentials:
        return self.issuer.leaf([uri], Validity.of(timedelta(seconds=lifetime)))


class LeafOutlivesIssuer(EnvoyMesh):
    """Its leaves end after their issuer."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self.authority = LavishAuthority(TRUST_DOMAIN)


class BriefLeafOutlivesIssuer(LeafOutlivesIssuer):
    """Its leaves end after their issuer, and last for less than it: only those of the issuer's last seconds do so."""

    async def _enter(self, member: Member) -> DataPlane:
        return await super()._enter(replace(member, spec=replace(member.spec, leaf_lifetime=BRIEF)))


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


def with_extension(wrong: Extension) -> Extensions:
    """All extensions of the leaf, one of them exchanged."""

    def exchanged(leaf: x509.Certificate) -> "list[x509.Extension[x509.ExtensionType]]":
        value = wrong(leaf)
        return [
            x509.Extension(one.oid, one.critical, value if one.oid == value.oid else one.value)
            for one in leaf.extensions
        ]

    return exchanged


def with_names_alone(leaf: x509.Certificate) -> "list[x509.Extension[x509.ExtensionType]]":
    """No extension but the names, without which Envoy takes no certificate."""
    return [one for one in leaf.extensions if isinstance(one.value, x509.SubjectAlternativeName)]


class MistimedAuthority(Authority):
    """Issues what begins so long from now."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__(TRUST_DOMAIN)
        self.ahead = ahead

    def issue(self, uri: str, lifetime: float) -> Credentials:
        begin = datetime.now(UTC) + self.ahead
        return self.issuer.leaf([uri], Validity(begin, begin + timedelta(seconds=lifetime)))


class NotYetValid(EnvoyMesh):
    """Its leaves are not valid yet."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self.authority = MistimedAuthority(timedelta(hours=1))


class AlreadyEnded(EnvoyMesh):
    """Its leaves are not valid any more."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self.authority = MistimedAuthority(timedelta(days=-1))


class IdentitiesWithoutNamespaces(EnvoyMesh):
    """Takes namespaces for parts of one whole, whose name is in every identity."""

    def identity_of(self, workload: WorkloadSpec) -> str:
        return super().identity_of(replace(workload, namespace="blue"))


class OneKeyAuthority(Authority):
    """Gives every workload the key of the first."""

    _key: bytes = b""

    def issue(self, uri: str, lifetime: float) -> Credentials:
        own = super().issue(uri, lifetime)
        self._key = self._key or own.key
        return altered(Credentials(chain=own.chain, key=self._key), self, lambda leaf: list(leaf.extensions))


class OneKeyForAll(EnvoyMesh):
    """All its workloads have one key."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self.authority = OneKeyAuthority(TRUST_DOMAIN)


def issuing(name: str, extensions: Extensions) -> type[EnvoyMesh]:
    """An embedded mesh whose leaves have these extensions in place of the right ones."""

    class AlteringAuthority(Authority):
        def issue(self, uri: str, lifetime: float) -> Credentials:
            return altered(super().issue(uri, lifetime), self, extensions)

    class Altering(EnvoyMesh):
        def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
            super().__init__(version, timeout_scale=timeout_scale)
            self.authority = AlteringAuthority(TRUST_DOMAIN)

    Altering.__name__ = name
    return Altering


def altered(
    credentials: Credentials, authority: Authority, extensions: Extensions, serial_number: int | None = None
) -> Credentials:
    """The same leaf with other extensions, and another serial number if one is given, signed anew."""
    leaf = x509.load_pem_x509_certificate(credentials.chain)
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.issuer)
        .public_key(load_pem_private_key(credentials.key, None).public_key())  # type: ignore[arg-type]
        .serial_number(serial_number or leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    for extension in extensions(leaf):
        builder = builder.add_extension(extension.value, extension.critical)
    certificate = builder.sign(authority.issuer.key, hashes.SHA256())
    return Credentials(chain=pem(certificate, *authority.issuer.chain), key=credentials.key)
