"""Ids that checks had in an earlier version, and the checks that replace them.

``suite.toml`` declares them, so that expectations, baselines and ``-k`` keep their meaning for one version:

    [aliases."identity/svid-is-well-formed"]
    ids = ["identity/svid-has-one-uri-san", "identity/svid-is-no-ca"]
    until = "0.2.0"
"""

import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_meshcheck.checks.check_ids import covers, known_ids, without_parameters
from pytest_meshcheck.checks.requirements import SUITE, CatalogueError

TABLE = "aliases"


@dataclass(frozen=True)
class Alias:
    """An id of an earlier version.

    Attributes:
        old: The id, with parameters where those are what has changed.
        ids: What replaces it; an id without parameters stands for the check with all of its parameters.
        until: The version that no longer knows the old id.
    """

    old: str
    ids: tuple[str, ...]
    until: str

    def covers(self, identifier: str) -> bool:
        """Whether a check with these parameters is one of those that replace it."""
        return any(covers(one, identifier) for one in self.ids)

    def is_named_in(self, selection: str) -> bool:
        """Whether a ``-k`` expression has the old id, with or without its family."""
        return self.old.partition("/")[2] in selection

    def __str__(self) -> str:
        return f"{self.old} is now {_in_short(self.ids)}; {self.until} no longer knows the old id"


Aliases = Mapping[str, Alias]
"""By old id."""


@functools.cache
def aliases(root: Path) -> Aliases:
    """The aliases that a suite declares.

    Raises:
        CatalogueError: The file is not TOML, an entry is malformed, or it names a check that does not exist.
    """
    path = root / SUITE
    try:
        content = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    if unknown := sorted(set(content) - {TABLE}):
        raise CatalogueError(f"{path}: unknown key {unknown[0]!r}; the only one is [{TABLE}]")
    declared = content.get(TABLE, {})
    if not isinstance(declared, dict):
        raise CatalogueError(f"{path}: {TABLE} is a table, [{TABLE}], by old id")
    found = {old: _alias(path, old, entry) for old, entry in declared.items()}
    if found:
        _refuse_wrong_ids(path, found.values(), known_ids(root))
    return found


def applied(declared: Aliases, identifier: str) -> list[str]:
    """The old ids that a check with these parameters replaces."""
    return [alias.old for alias in declared.values() if alias.covers(identifier)]


def _alias(path: Path, old: str, entry: Any) -> Alias:
    match entry:
        case {"ids": [_, *_] as ids, "until": str(until), **others} if not others:
            if all(isinstance(one, str) for one in ids):
                return Alias(old, tuple(ids), until)
    raise CatalogueError(
        f"{path}: [{TABLE}.{old!r}] has exactly 'ids', a list of ids, and 'until', a version: {entry!r}"
    )


def _refuse_wrong_ids(path: Path, declared: Iterable[Alias], known: frozenset[str]) -> None:
    for alias in declared:
        if alias.old in known:
            raise CatalogueError(f"{path}: [{TABLE}.{alias.old!r}] is the id of a check; remove the alias")
        if missing := [one for one in alias.ids if without_parameters(one) not in known]:
            raise CatalogueError(f"{path}: [{TABLE}.{alias.old!r}]: no check {missing[0]!r}")


def _in_short(ids: Iterable[str]) -> str:
    """Ids in one line; of those that differ in their parameters only, the check is named once."""
    by_check: dict[str, list[str]] = {}
    for identifier in ids:
        check = without_parameters(identifier)
        by_check.setdefault(check, []).append(identifier.removeprefix(check))
    return ", ".join(f"{check}{', '.join(parameters)}" for check, parameters in by_check.items())
