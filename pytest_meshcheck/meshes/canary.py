"""Upgrades by canary: a second control plane beside the first, to which workloads are moved one after the other."""

import enum
from typing import Protocol, runtime_checkable

from pytest_meshcheck.meshes.base import Mesh


class UpgradeBy(enum.StrEnum):
    """How a mesh is moved to another version."""

    IN_PLACE = "in-place"
    """The control plane is replaced; data planes follow."""
    CANARY = "canary"
    """Another control plane comes beside it; data planes are moved; the first one is removed."""


@runtime_checkable
class Canary(Protocol):
    """What a mesh can do besides whose control planes of two versions stand side by side.

    Its data planes live in their workloads: a workload belongs to the control plane that was the newest when its
    instance was started.
    """

    async def install_beside(self, version: str) -> None:
        """Install another version beside the one that is there; what is started from now on belongs to it.

        Raises:
            MeshUnavailable: It cannot be had; nothing has changed.
            Inconclusive: It does not become ready.
        """

    async def retire(self) -> None:
        """Remove the version of before, to which no workload belongs any more.

        Raises:
            Inconclusive: It cannot be removed, or the other one is not ready without it.
        """


def ways_of(adapter: Mesh) -> tuple[UpgradeBy, ...]:
    """How a mesh can be upgraded, where it can be upgraded at all."""
    return tuple(UpgradeBy) if isinstance(adapter, Canary) else (UpgradeBy.IN_PLACE,)
