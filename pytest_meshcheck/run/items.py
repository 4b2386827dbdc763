"""The check behind a collected test item."""

from dataclasses import dataclass

import msgspec
import pytest

from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.expectations import KnownViolation
from pytest_meshcheck.checks.requirements import Requirement
from pytest_meshcheck.checks.verdict import Result
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.options import MeshName
from pytest_meshcheck.run.attempts import Attempts
from pytest_meshcheck.testbed.mesh import MeshUnderTest


@dataclass(frozen=True)
class Planned:
    """A check with its parameters, on one mesh."""

    check: Check
    id: str
    mesh: MeshName
    reproduce: str
    """The command that runs it again."""
    known: KnownViolation | None = None
    narrowed: frozenset[Capability] | None = None
    """What it proves with these parameters, where that is less than what the check proves."""

    @property
    def proves(self) -> frozenset[Capability]:
        """The capabilities that its verdict speaks of."""
        return self.check.proves if self.narrowed is None else self.check.proves & self.narrowed


PLANNED = pytest.StashKey[Planned]()
ATTEMPTS = pytest.StashKey[Attempts]()
SUBJECT = pytest.StashKey[MeshUnderTest]()
"""The mesh that an item is about, from before anything of it can break."""
TELLING = pytest.StashKey[bool]()
"""Whether any attempt so far ended in a verdict that evidence is kept for."""


def mesh_of(item: pytest.Item) -> MeshName | None:
    """The mesh that a test is run on, be it a check or not; None where it uses none, or a ``mesh_name`` of its own."""
    mesh = item.callspec.params.get("mesh_name") if hasattr(item, "callspec") else None
    return mesh if isinstance(mesh, MeshName) else None


class Collected(msgspec.Struct, frozen=True):
    """What was collected of one check, as handed from a worker to the process that keeps the score."""

    mesh: str
    result: Result
    """With the verdict ``not-run`` where there is no other."""
    requirement: Requirement
    root: str
    """The folder of the suite."""


class Told(msgspec.Struct, frozen=True):
    """The summary that a process of a run sends, at its end, to the one that keeps the score."""

    collected: list[Collected] = []
    troubles: list[str] = []
    """What could not be kept, and why."""
    notes: list[str] = []
    """What the user should write otherwise from now on."""
