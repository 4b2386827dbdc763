"""The embedded mesh that misuses what it is given as its authority."""

from contextlib import AsyncExitStack
from typing import Any

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.pki import Issuer
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


class IssuesNothingAfterBrokenInput(EnvoyMesh):
    """Issues no certificates until it is given files that it can use."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, **named)
        self._stopped = AsyncExitStack()

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
