"""``--mesh-upgrade-to``: one mesh in two versions, one after the other, on the same stage."""

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
    """A mesh before, and after it has been moved to another version; and how it is moved."""

    before: MeshName
    after: MeshName
    by: UpgradeBy = UpgradeBy.IN_PLACE

    @classmethod
    def asked_for(cls, config: pytest.Config, settings: Settings) -> "Upgrade | None":
        """The upgrade of this run; None where none was asked for.

        Raises:
            pytest.UsageError: It cannot be made in such a run.
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
        """As it is asked for on a command line."""
        by = () if self.by is UpgradeBy.IN_PLACE else (f"--mesh-upgrade-by={self.by}",)
        return f"--mesh={self.before}", f"--mesh-upgrade-to={self.after.version}", *by

    def refuse(self, adapters: Mapping[MeshName, Mesh]) -> None:
        """UsageError where the mesh is in that version already, or makes no claim that it can be upgraded."""
        before, after = adapters[self.before], adapters[self.after]
        flag = f"--mesh-upgrade-to={self.after.version}"
        if before.version == after.version:
            raise pytest.UsageError(f"{flag}: {before.name} is {before.version} already; choose another version")
        claim = before.claims.get(Capability.UPGRADE)
        if claim is None or not claim.supported:
            why = f"{claim.note} ({claim.source})" if claim else "its adapter does not mention it"
            raise pytest.UsageError(f"{flag}: {before.name} cannot be upgraded: {why}")
        if self.by not in (valid := ways_of(before)):
            raise pytest.UsageError(
                f"--mesh-upgrade-by={self.by}: {before.name} does not support this strategy; "
                f"valid values are {', '.join(valid)}"
            )


def judges(upgrade: Upgrade | None, check: Check, mesh: MeshName) -> bool:
    """Whether there is anything for a check to judge: those of an upgrade are about what is seen along the way."""
    return Capability.UPGRADE not in check.needs or (upgrade is not None and mesh == upgrade.after)


@dataclass
class Handover:
    """The mesh between its checks in one version and those in the next."""

    subject: MeshUnderTest | None = None

    def take(self) -> MeshUnderTest | None:
        """What was left here; whoever takes it closes it."""
        taken, self.subject = self.subject, None
        return taken

    async def close(self) -> None:
        """Close what nobody took."""
        if subject := self.take():
            await subject.close()


def _in_several_processes(config: pytest.Config) -> bool:
    of_xdist = (config.getoption(name, None) for name in ("numprocesses", "tx"))
    return hasattr(config, "workerinput") or any(of_xdist)
