"""Rotations of certificates; each step waits until the data planes have followed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.meshes.base import Mesh, Rotation
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.pki import Issuer, Validity, parsed_chain
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.testbed.peers import Peers
from pytest_meshcheck.testbed.rotation.rollout import roll, servers_first
from pytest_meshcheck.testbed.workloads import Stage

PAUSE = 0.1
"""Seconds between two polls."""


@dataclass(frozen=True)
class Rotations:
    """One session's rotations.

    Attributes:
        adapter: The mesh.
        stage: The workloads, whose data planes have to follow.
        peers: The peers whose handshakes show whether they have.
        scale: The factor for time limits.
    """

    adapter: Mesh
    stage: Stage
    peers: Peers
    scale: float

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Rotate leaves, the issuer, or a root; ``lifetime`` is that of a new issuer, in seconds.

        Workloads are restarted if their data planes learn of roots in no other way; loads continue meanwhile. If
        ``settled`` is exact, every data plane has the result then. Otherwise this waits until a second root is trusted,
        or until no leaf needs the first one, and the check waits for anything else.
        """
        needs_polling, authority = self.adapter.documented.needs_polling, self.adapter.authority
        if needs_polling and what is Rotation.ROOT_DROP:
            await self._until_all("new leaves", self._has_new_leaf)
        self.stage.platform.journal.add("rotation", what, lifetime)
        await self.adapter.rotate(what, lifetime)
        await self.adapter.settled()
        await self.follow_roots()
        if needs_polling and what is Rotation.ROOT_ADD and authority.next_issuer:
            await self._until_all("second root trusted", await self._trust_in(authority.next_issuer))

    async def follow_roots(self) -> None:
        """Restart workloads whose data planes started under earlier roots and cannot learn of the present ones."""
        roots = self.adapter.authority.roots
        if self.adapter.documented.rotation.roots_reach_running or self.stage.roots_at_start in ((), roots):
            return
        await self.stage.convergence.flush()
        waves = servers_first(self.stage.enrolled, self.stage.running)
        await roll(self.stage.replacing, self.adapter, waves, self.stage.running, self.scale)
        self.stage.roots_at_start = roots

    async def _has_new_leaf(self, server: Workload) -> bool:
        """Whether a data plane serves a leaf of the present issuer."""
        shown = (await self.peers.handshake(await self.stage.workload("outsider"), server)).tls
        return shown is not None and self.adapter.authority.issuer.certificate in parsed_chain(shown.chain)

    async def _trust_in(self, issuer: Issuer) -> Callable[[Workload], Awaitable[bool]]:
        """A predicate: whether a data plane accepts a peer under an issuer."""
        outsider = await self.stage.workload("outsider")
        identity = self.adapter.identity_of(outsider.spec)
        peer = issuer.leaf([identity], Validity.of(timedelta(hours=1)))

        async def accepts(server: Workload) -> bool:
            return (await self.peers.tls_request(outsider, server, peer)).ending is Ending.ANSWERED

        return accepts

    async def _until_all(self, what: str, has_followed: Callable[[Workload], Awaitable[bool]]) -> None:
        """Wait until every data plane has followed; one that never does is left to the check."""
        servers, within = self.stage.enrolled, self.adapter.documented.rotation.roots_act_within * self.scale

        async def poll() -> list[bool]:
            return list(await asyncio.gather(*map(has_followed, servers)))

        followed, seconds = await converge(poll, all, within, every=PAUSE)
        by_server = {str(server): one for server, one in zip(servers, followed, strict=True)}
        self.stage.platform.journal.add(what, f"after {seconds:.1f} s", by_server)
