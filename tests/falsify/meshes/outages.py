"""The embedded mesh that does not get over an outage of its authority or its control plane."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.pki import Validity
from tests.falsify.defect import Resources

A_MINUTE_AGO = timedelta(minutes=-1)


class ValidCertificatesDropped(EnvoyMesh):
    """Gives up the certificates of all workloads as soon as none can be renewed."""

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        async with super().authority_outage():
            for plane in self._planes.values():
                uri = plane.certificate.uri
                plane.certificate._credentials = self.authority.issuer.leaf([uri], Validity.of(A_MINUTE_AGO))
            self.publish()
            await self.settled()
            yield
        for plane in self._planes.values():
            plane.certificate.renew()


class NeverRecovers(EnvoyMesh):
    """Renews nothing any more after an outage of the authority."""

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        async with super().authority_outage():
            yield
            for plane in self._planes.values():
                plane.certificate.end()


class SpareAuthority(EnvoyMesh):
    """Issues as ever while its authority is away."""

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        yield


class PlaintextWithoutAuthority(EnvoyMesh):
    """Connects without TLS while the authority is away."""

    def __init__(self, version: str | None = None, **named: Any) -> None:
        super().__init__(version, publish_hook=self._published, **named)
        self._is_away = False

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        async with super().authority_outage():
            await self._set(away=True)
            yield
        await self._set(away=False)

    async def _set(self, *, away: bool) -> None:
        self._is_away = away
        self.publish(force=True)
        await self.settled()

    def _published(self, _workload: str, resources: Resources) -> Resources:
        for cluster in resources["clusters"] if self._is_away else ():
            cluster.pop("transport_socket", None)
        return resources
