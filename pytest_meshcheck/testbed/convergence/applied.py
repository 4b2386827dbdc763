"""The applied policies: rendered together, and changed by the difference."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.platforms.base import Manifest, Platform

Key = tuple[str, str, str, str]


@dataclass
class AppliedPolicies:
    """The policies of one session that the mesh has now.

    Attributes:
        adapter: The mesh.
        platform: The platform that takes the resources.
        policies: In the order in which they were applied.
    """

    adapter: Mesh
    platform: Platform
    policies: list[Policy] = field(default_factory=list)
    _resources: dict[Key, Manifest] = field(default_factory=dict)

    async def replace(self, policies: Sequence[Policy]) -> list[Manifest]:
        """Apply these policies and delete all others; returns the resources that this creates or changes.

        Raises:
            Unsupported: The mesh cannot express one of them; apply the previous ones again.
            Inconclusive: The platform rejects them; apply the previous ones again.
        """
        wanted = {_key(manifest): manifest for manifest in self.adapter.render(policies)}
        before, self.policies = self._resources, list(policies)
        changed = [manifest for key, manifest in wanted.items() if before.get(key) != manifest]
        gone = [manifest for key, manifest in before.items() if key not in wanted]
        self._resources = before | wanted
        try:
            if changed:
                await self._apply(changed)
        except Exception as rejected:
            try:
                await self._delete(gone, wanted)  # the replaced policies are recorded nowhere else
            except Inconclusive as trouble:
                rejected.add_note(f"and the replaced policy could not be deleted: {trouble}")
            raise
        await self._delete(gone, wanted)
        return changed

    async def _delete(self, gone: Sequence[Manifest], left: dict[Key, Manifest]) -> None:
        if gone:
            await self.platform.delete(gone)
        self._resources = left

    async def _apply(self, changed: Sequence[Manifest]) -> None:
        try:
            await self.platform.apply(changed)
        except Inconclusive as error:
            raise self.adapter.on_rejection(error) from error


def _key(manifest: Manifest) -> Key:
    metadata = manifest["metadata"]
    return manifest.get("apiVersion", ""), manifest["kind"], metadata.get("namespace", ""), metadata["name"]
