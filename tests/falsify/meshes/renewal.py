"""The embedded mesh whose certificates are renewed too seldom, too late, or under the number of an earlier one."""

from dataclasses import replace

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.sidecar_mesh import TRUST_DOMAIN, DataPlane
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.platforms.local.addresses import Member
from pytest_meshcheck.probe.protocol.messages import Credentials
from tests.falsify import parts
from tests.falsify.defect import Resources
from tests.falsify.meshes.faulty import altered

LIFETIME = 1.0
RENEWED_AFTER = 2.0
"""Seconds; certificates end with whole ones."""


class LavishLifetimes(EnvoyMesh):
    """Gives all workloads certificates of the lifetime that is its default."""

    async def _enter(self, member: Member) -> DataPlane:
        return await super()._enter(replace(member, spec=replace(member.spec, leaf_lifetime=None)))


class LateRenewal(EnvoyMesh):
    """Renews what has ended, and has clients accept it until then."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=_published, timeout_scale=timeout_scale)

    async def _enter(self, member: Member) -> DataPlane:
        spec = member.spec
        if spec.leaf_lifetime:
            spec = replace(spec, leaf_lifetime=LIFETIME, renewed_after=RENEWED_AFTER)
        return await super()._enter(replace(member, spec=spec))


def _published(_workload: str, resources: Resources) -> Resources:
    parts.accept_expired_servers(resources)
    return resources


class TwoNumbers(Authority):
    """Numbers the certificates of a workload 1, 2, 1, 2 and so on."""

    def __init__(self, trust_domain: str) -> None:
        super().__init__(trust_domain)
        self._last: dict[str, int] = {}

    def issue(self, uri: str, lifetime: float) -> Credentials:
        self._last[uri] = 1 + self._last.get(uri, 0) % 2
        own = super().issue(uri, lifetime)
        return altered(own, self, lambda leaf: list(leaf.extensions), serial_number=self._last[uri])


class SerialNumbersRepeat(EnvoyMesh):
    """Numbers certificates so that every second one is like the one before the last."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self.authority = TwoNumbers(TRUST_DOMAIN)
