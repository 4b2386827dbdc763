"""The embedded mesh that misuses what it is given as its authority."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.certificates import RENEWED_AFTER
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.sidecar_mesh import DataPlane
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.pki import Issuer
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify.meshes.control_planes import OutOfService


class IssuerCertificateNotFollowed(EnvoyMesh):
    """Issues under a new certificate of its issuer only what falls due anyway."""

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        if what is Rotation.ISSUER_CERTIFICATE:
            self.authority.recertify_issuer()
        else:
            await super().rotate(what, lifetime)


class SilentAboutBrokenInput(EnvoyMesh):
    """Finds nothing wrong with any files."""

    async def give_authority(self, files: AuthorityFiles) -> str:
        return ""


class OutOfServiceAfterBrokenInput(OutOfService):
    """Has data planes refuse every request until it is given files that it can use."""

    async def give_authority(self, files: AuthorityFiles) -> str:
        said = await super().give_authority(files)
        await self.turn(off=bool(said))
        return said


LASTING = 30.0
"""Seconds of a certificate that is still valid when its renewal is long overdue."""


class IssuesNothingAfterBrokenInput(EnvoyMesh):
    """Issues no certificates until it is given files that it can use; the present ones last."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self._stopped = AsyncExitStack()

    async def _enter(self, member: Member) -> DataPlane:
        spec = member.spec
        if spec.leaf_lifetime:
            spec = replace(spec, leaf_lifetime=LASTING, renewed_after=spec.leaf_lifetime * RENEWED_AFTER)
        return await super()._enter(replace(member, spec=spec))

    async def give_authority(self, files: AuthorityFiles) -> str:
        said = await super().give_authority(files)
        await self._stopped.aclose()
        if said:
            await self._stopped.enter_async_context(self.authority_outage())
        return said


class SelfSignedAfterBrokenInput(EnvoyMesh):
    """Makes a root of its own, announces it, and issues under it, until it is given files that it can use."""

    async def give_authority(self, files: AuthorityFiles) -> str:
        said = await super().give_authority(files)
        authority = self.authority
        if said:
            self._sound = authority.issuer, authority.roots
            authority.issuer = Issuer.self_signed("makeshift root").intermediate("makeshift issuer")
            authority.roots = (authority.issuer.root,)
        else:
            authority.issuer, authority.roots = self._sound
        await self.rotate(Rotation.LEAF)
        await self.settled()
        return said


class UsedDespiteComplaint(EnvoyMesh):
    """Complains about files, and issues under them what falls due, until it is given files that it can use.

    Attributes:
        complaint: Words of the complaint about the files that it uses; others it does not.
    """

    complaint: str

    async def give_authority(self, files: AuthorityFiles) -> str:
        said = await super().give_authority(files)
        authority = self.authority
        if not said:
            authority.issuer = self._sound
            return said
        self._sound = authority.issuer
        if self.complaint in said:
            authority.issuer = replace(
                authority.issuer,
                certificate=x509.load_pem_x509_certificate(files.certificate),
                key=load_pem_private_key(files.key, None),
                chain=tuple(x509.load_pem_x509_certificates(files.chain)),
            )
        return said


class ExpiredIssuerUsed(UsedDespiteComplaint):
    """Uses an issuer that has expired."""

    complaint = "is not valid now"


class MismatchedKeyUsed(UsedDespiteComplaint):
    """Uses a key that does not belong to the certificate of its issuer."""

    complaint = "does not belong to its certificate"
