"""Canary upgrades: workloads move one by one to a second control plane, installed beside the first."""

import enum
from typing import Protocol, runtime_checkable

from pytest_meshcheck.meshes.base import Mesh


class UpgradeBy(enum.StrEnum):
    """Upgrade strategies."""

    IN_PLACE = "in-place"
    """Replace the control plane, then the data planes."""
    CANARY = "canary"
    """Install a second control plane, move the data planes to it, remove the first."""


@runtime_checkable
class Canary(Protocol):
    """Additional methods of a mesh that can run control planes of two versions side by side.

    Its data planes live in their workloads: an instance belongs to the control plane that was the newest when the
    instance started.
    """

    async def install_alongside(self, version: str) -> None:
        """Install a second version beside the first; instances started from now on belong to it.

        Raises:
            MeshUnavailable: The version is not available; nothing has changed.
            Inconclusive: The control plane does not become ready.
        """

    async def retire(self) -> None:
        """Remove the previous version, to which no workload belongs any more.

        Raises:
            Inconclusive: It cannot be removed, or the new version is not ready without it.
        """


def ways_of(adapter: Mesh) -> tuple[UpgradeBy, ...]:
    """The upgrade strategies that a mesh supports, if it supports upgrades at all."""
    return tuple(UpgradeBy) if isinstance(adapter, Canary) else (UpgradeBy.IN_PLACE,)
