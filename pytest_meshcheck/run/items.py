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
class CheckItem:
    """A check with its parameters, on one mesh."""

    check: Check
    id: str
    mesh: MeshName
    reproduce: str
    """The command that repeats it."""
    known: KnownViolation | None = None
    narrowed: frozenset[Capability] | None = None
    """The capabilities that it proves with these parameters, if fewer than those of the check."""
    slow: bool = False
    """Whether it belongs to the slow lane."""

    @property
    def proves(self) -> frozenset[Capability]:
        """The capabilities that its verdict concerns."""
        return self.check.proves if self.narrowed is None else self.check.proves & self.narrowed


REPETITION = "__pytest_repeat_step_number"
"""The parameter that pytest-repeat adds, from 0; its id ``number-count`` comes last."""

CHECK_ITEM = pytest.StashKey[CheckItem]()
ATTEMPTS = pytest.StashKey[Attempts]()
SUBJECT = pytest.StashKey[MeshUnderTest]()
"""The mesh of an item, set before any fixture can fail."""
EVIDENCE_IS_KEPT = pytest.StashKey[bool]()
"""Whether any attempt so far had a verdict whose evidence is kept."""


def mesh_of(item: pytest.Item) -> MeshName | None:
    """The mesh of a test, whether a check or not; None if it uses none, or has its own parameter ``mesh_name``."""
    mesh = item.callspec.params.get("mesh_name") if hasattr(item, "callspec") else None
    return mesh if isinstance(mesh, MeshName) else None


def parameters_of(item: pytest.Function) -> str:
    """The id of an item's parameters, mesh included; repetitions of pytest-repeat share it."""
    identifier: str = item.callspec.id
    return identifier.rsplit("-", 2)[0] if repetition_of(item) else identifier


def repetition_of(item: pytest.Item) -> int:
    """The ordinal of an item among the repetitions of pytest-repeat, from 1; 0 without repetitions."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    number = params.get(REPETITION)
    return number + 1 if isinstance(number, int) else 0


class Collected(msgspec.Struct, frozen=True):
    """A collected check, as passed from a worker to the run's results."""

    mesh: str
    result: Result
    """The result so far, by default with the verdict ``not-run``."""
    requirement: Requirement
    root: str
    """The folder of the suite."""


class WorkerSummary(msgspec.Struct, frozen=True):
    """The summary that each process of a run sends to the run's results at its end."""

    collected: list[Collected] = []
    troubles: list[str] = []
    """Evidence that could not be kept, and why."""
    notes: list[str] = []
    """Notes for the user, such as about ids that have changed."""
