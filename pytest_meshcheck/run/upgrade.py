"""``--mesh-upgrade-to``: one mesh in two versions in turn, on the same stage."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.meshes.canary import UpgradeBy, ways_of
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.testbed.mesh import MeshUnderTest


@dataclass(frozen=True)
class Upgrade:
    """The names of a mesh before and after its upgrade, and the strategy."""

    before: MeshName
    after: MeshName
    by: UpgradeBy = UpgradeBy.IN_PLACE

    @classmethod
    def asked_for(cls, config: pytest.Config, settings: Settings) -> "Upgrade | None":
        """The upgrade of this run; None without one.

        Raises:
            pytest.UsageError: The options of the run exclude an upgrade.
        """
        version = settings.mesh_upgrade_to
        if version is None:
            return None
        meshes = tuple(dict.fromkeys(settings.mesh))
        flag = f"--mesh-upgrade-to={version}"
        if len(meshes) != 1:
            raise pytest.UsageError(
                f"{flag} upgrades one mesh, but --mesh names {', '.join(map(str, meshes))}: name one"
            )
        if _in_several_processes(config):
            raise pytest.UsageError(
                f"{flag} needs one process: all checks of the first version must finish before the upgrade, and "
                "xdist workers do not wait for each other; omit -n"
            )
        if settings.mesh_installed:
            raise pytest.UsageError(
                f"{flag}: the suite does not upgrade a mesh that was already installed (--mesh-installed); upgrade it "
                "yourself, and compare with --mesh-baseline=FILE"
            )
        return cls(meshes[0], MeshName(meshes[0].name, version), UpgradeBy(settings.mesh_upgrade_by))

    @property
    def options(self) -> tuple[str, ...]:
        """The command-line options of the upgrade."""
        by = () if self.by is UpgradeBy.IN_PLACE else (f"--mesh-upgrade-by={self.by}",)
        return f"--mesh={self.before}", f"--mesh-upgrade-to={self.after.version}", *by

    def refuse(self, adapters: Mapping[MeshName, Mesh]) -> None:
        """UsageError if the mesh already has the version, or does not claim upgrades."""
        before, after = adapters[self.before], adapters[self.after]
        flag = f"--mesh-upgrade-to={self.after.version}"
        if before.version == after.version:
            raise pytest.UsageError(f"{flag}: {before.name} is {before.version} already; choose another version")
        if not (claim := before.claim(Capability.UPGRADE)).supported:
            raise pytest.UsageError(f"{flag}: {before.name} cannot be upgraded: {claim.why}")
        if self.by not in (valid := ways_of(before)):
            raise pytest.UsageError(
                f"--mesh-upgrade-by={self.by}: {before.name} does not support this strategy; "
                f"valid values are {', '.join(valid)}"
            )


def judges(upgrade: Upgrade | None, check: Check, mesh: MeshName) -> bool:
    """Whether a check applies to a mesh: upgrade checks need the observations during an upgrade."""
    return Capability.UPGRADE not in check.needs or (upgrade is not None and mesh == upgrade.after)


@dataclass
class Handover:
    """Keeps the mesh between the checks of the two versions."""

    subject: MeshUnderTest | None = None

    def take(self) -> MeshUnderTest | None:
        """Take the mesh out; the caller has to close it."""
        taken, self.subject = self.subject, None
        return taken

    async def close(self) -> None:
        """Close the mesh if it was not taken."""
        if subject := self.take():
            await subject.close()


def _in_several_processes(config: pytest.Config) -> bool:
    of_xdist = (config.getoption(name, None) for name in ("numprocesses", "tx"))
    return hasattr(config, "workerinput") or any(of_xdist)
