"""Rotations, and what of the stage has to follow before the next step."""

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
from pytest_meshcheck.testbed.rollout import roll
from pytest_meshcheck.testbed.workloads import Stage

PAUSE = 0.1
"""Seconds between two looks at what takes its time."""


@dataclass(frozen=True)
class Rotations:
    """One session's rotations.

    Attributes:
        adapter: The mesh.
        stage: Whose data planes follow.
        peers: By whom they are asked whether they have.
        scale: What patience is multiplied by.
    """

    adapter: Mesh
    stage: Stage
    peers: Peers
    scale: float

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        """Rotate something; ``lifetime`` is that of a new issuer, in seconds.

        Workloads are restarted where their data planes learn of roots in no other way; loads go on meanwhile. Where
        ``settled`` knows exactly, every data plane has it then. Otherwise a second root is trusted, the first one goes
        when no leaf needs it any more, and what else has to be there in time a check waits for.
        """
        is_asked, authority = self.adapter.documented.is_asked, self.adapter.authority
        if is_asked and what is Rotation.ROOT_DROP:
            await self._until_all("new leaves", self._has_new_leaf)
        self.stage.platform.journal.add("rotation", what, lifetime)
        await self.adapter.rotate(what, lifetime)
        await self.adapter.settled()
        await self.follow_roots()
        if is_asked and what is Rotation.ROOT_ADD and authority.next_issuer:
            await self._until_all("second root trusted", await self._trust_in(authority.next_issuer))

    async def follow_roots(self) -> None:
        """Restart the stage where its data planes were started under other roots, and cannot learn of those of now."""
        roots = self.adapter.authority.roots
        if self.adapter.documented.rotation.roots_reach_running or self.stage.told_roots in ((), roots):
            return
        await self.stage.quiet()
        await roll(self.stage.replacing, self.adapter, self.stage.enrolled, self.stage.running, self.scale)
        self.stage.told_roots = roots

    async def _has_new_leaf(self, server: Workload) -> bool:
        """Whether a data plane serves a leaf of the present issuer."""
        shown = (await self.peers.handshake(await self.stage.workload("outsider"), server)).tls
        return shown is not None and self.adapter.authority.issuer.certificate in parsed_chain(shown.chain)

    async def _trust_in(self, issuer: Issuer) -> Callable[[Workload], Awaitable[bool]]:
        """Tells whether a data plane lets a peer under an issuer in."""
        outsider = await self.stage.workload("outsider")
        identity = self.adapter.identity_of(outsider.spec)
        peer = issuer.leaf([identity], Validity.of(timedelta(hours=1)))

        async def is_let_in(server: Workload) -> bool:
            return (await self.peers.knock(outsider, server, peer)).ending is Ending.ANSWERED

        return is_let_in

    async def _until_all(self, what: str, look: Callable[[Workload], Awaitable[bool]]) -> None:
        """Wait until it is so of every data plane; where it does not come to be, that is left to the check."""
        servers, within = self.stage.enrolled, self.adapter.documented.rotation.roots_act_within * self.scale

        async def looks() -> list[bool]:
            return list(await asyncio.gather(*map(look, servers)))

        seen, seconds = await converge(looks, all, within, every=PAUSE)
        told = {str(server): so for server, so in zip(servers, seen, strict=True)}
        self.stage.platform.journal.add(what, f"after {seconds:.1f} s", told)
