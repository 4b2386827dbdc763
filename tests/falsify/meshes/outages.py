"""The embedded mesh that does not get over an outage of its authority or its control plane."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from cryptography import x509

from pytest_meshcheck.meshes.envoy.certificates import SHORTEST_LIFETIME
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.sidecar_mesh import DataPlane
from pytest_meshcheck.model.pki import Validity
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify.defect import Resources
from tests.falsify.meshes.faulty import ConnectionsKept

A_MINUTE_AGO = timedelta(minutes=-1)
CLIENT = "client"
SHORTER = 2 / 3 * SHORTEST_LIFETIME
"""Such a certificate ends before that of a server in the same outage."""
DISAPPOINTED = 0.7
"""Seconds after the end of a certificate."""


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


class ClientNeverRecovers(ConnectionsKept):
    """Stops renewing the certificates of clients after an outage of the authority, and keeps their connections."""

    async def _enter(self, member: Member) -> DataPlane:
        if member.spec.name == CLIENT:
            member = replace(member, spec=replace(member.spec, leaf_lifetime=SHORTER))
        return await super()._enter(member)

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        async with super().authority_outage():
            yield
            for plane in self._planes.values():
                if plane.member.spec.name == CLIENT:
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


class PlaintextAfterARefusal(PlaintextWithoutAuthority):
    """Connects without TLS shortly after a certificate has expired in an outage."""

    @asynccontextmanager
    async def authority_outage(self) -> AsyncIterator[None]:
        async with EnvoyMesh.authority_outage(self):
            turning = asyncio.create_task(self._turn())
            yield
        await turning
        await self._set(away=False)

    async def _turn(self) -> None:
        chains = [
            x509.load_pem_x509_certificate(plane.certificate.credentials.chain) for plane in self._planes.values()
        ]
        first = min(leaf.not_valid_after_utc.timestamp() for leaf in chains)
        await asyncio.sleep(first - time.time() + DISAPPOINTED)
        await self._set(away=True)
