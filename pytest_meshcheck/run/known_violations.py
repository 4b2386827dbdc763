"""The known violations of the meshes of a run, from ``--mesh-expectations`` or from the suite."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_meshcheck.checks.aliases import aliases
from pytest_meshcheck.checks.catalogue import Check
from pytest_meshcheck.checks.check_ids import known_ids, without_parameters
from pytest_meshcheck.checks.expectations import ExpectationsError, KnownViolation, read_expectations
from pytest_meshcheck.checks.requirements import CatalogueError
from pytest_meshcheck.options import MeshName
from pytest_meshcheck.run.items import CheckItem

Entries = tuple[KnownViolation, ...]


@dataclass
class KnownViolations:
    """The entries of all expectations in this run.

    Attributes:
        given: The user's own file; None for those that the suites ship, ``expectations/<mesh>.toml``.
        roots: The suites of this run.
        notes: Which entries are written for an earlier version of the suite.
    """

    given: Path | None
    roots: frozenset[Path] = frozenset()
    notes: list[str] = field(default_factory=list)
    _read: dict[tuple[Path, Path], Entries] = field(default_factory=dict)

    def find(self, check: Check, identifier: str, mesh: MeshName) -> KnownViolation | None:
        """The entry for a check with its parameters; UsageError if the file is invalid."""
        shipped = check.root / "expectations" / f"{mesh.name}.toml"
        path = self.given or (shipped if shipped.is_file() else None)
        entries = self._entries(path, check.root) if path else ()
        return next((entry for entry in entries if entry.covers(identifier)), None)

    def refuse_unknown_parameters(self, items: Collection[CheckItem]) -> None:
        """UsageError for an entry whose parameters none of the collected checks has."""
        ids = {one.id for one in items}
        whole = {one.check.id for one in items}
        for entry in (entry for entries in self._read.values() for entry in entries):
            if entry.alias is None and entry.whole in whole and not any(entry.covers(identifier) for identifier in ids):
                there_are = ", ".join(sorted(i for i in ids if without_parameters(i) == entry.whole))
                raise pytest.UsageError(f"{entry.where}: no check {entry.check!r}; available: {there_are}")

    def _entries(self, path: Path, root: Path) -> Entries:
        if (path, root) not in self._read:
            try:
                roots = self.roots if path == self.given else (root,)
                ids = frozenset[str]().union(*map(known_ids, roots))
                self._read[path, root] = entries = read_expectations(path, ids, aliases(root))
            except (ExpectationsError, CatalogueError) as error:
                raise pytest.UsageError(str(error)) from error
            self.notes += [f"{entry.where}: {entry.alias}" for entry in entries if entry.alias]
        return self._read[path, root]
