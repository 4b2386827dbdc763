"""The policies that are in force: rendered together, and applied as what has changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.platforms.base import Manifest, Platform
from pytest_meshcheck.stage.policy import Policy

Key = tuple[str, str, str, str]


@dataclass
class InForce:
    """What one session has asked of a mesh, and has not taken back.

    Attributes:
        policies: In the order in which they came.
    """

    adapter: Mesh
    platform: Platform
    policies: list[Policy] = field(default_factory=list)
    _resources: dict[Key, Manifest] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Put policies in force, and return the resources that this creates or changes.

        Raises:
            Unsupported: The mesh cannot express one of them; nothing has changed.
            Inconclusive: The platform does not take them; ``remove`` them again.
        """
        async with self._turn:
            return await self._become([*self.policies, *policies])

    async def remove(self, policies: Sequence[Policy]) -> None:
        """Take back the very policies that were added."""
        async with self._turn:
            await self._become([one for one in self.policies if not any(one is gone for gone in policies)])

    async def _become(self, policies: list[Policy]) -> list[Manifest]:
        wanted = {_key(manifest): manifest for manifest in self.adapter.render(policies)}
        before, self._resources, self.policies = self._resources, wanted, policies
        changed = [manifest for key, manifest in wanted.items() if before.get(key) != manifest]
        gone = [manifest for key, manifest in before.items() if key not in wanted]
        if changed:
            await self.platform.apply(changed)
        if gone:
            await self.platform.delete(gone)
        return changed


def _key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return manifest.get("apiVersion", ""), manifest["kind"], metadata.get("namespace", ""), metadata["name"]
