"""Known violations of a mesh: a TOML file with a reason and a link for each."""

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_meshcheck.checks.aliases import Alias, Aliases
from pytest_meshcheck.checks.check_ids import covers, without_parameters

TABLE = "known"
ALSO = "also"
"""A list of meshes whose violations this one has too: their files are beside this one."""
KEYS = ("check", "reason", "link")


class ExpectationsError(Exception):
    """The file cannot be used; the message begins with file and line."""


@dataclass(frozen=True)
class KnownViolation:
    """One check in an entry, ``[[known]]``.

    Attributes:
        check: A check's id, with or without parameters; without, it covers all of them.
        reason: Why the mesh does this, in a sentence.
        link: Its source: an issue or a page of documentation.
        where: File and line of the entry.
        alias: What replaces the check, where its id is one of an earlier version.
    """

    check: str
    reason: str
    link: str
    where: str = ""
    alias: Alias | None = None

    @property
    def whole(self) -> str:
        """The check's id without parameters."""
        return without_parameters(self.check)

    def covers(self, check_id: str) -> bool:
        """Whether a check with these parameters is meant."""
        return self.alias.covers(check_id) if self.alias else covers(self.check, check_id)


def read_expectations(
    path: Path, known_ids: Collection[str] | None = None, aliases: Aliases = MappingProxyType({})
) -> tuple[KnownViolation, ...]:
    """The known violations in a file.

    Args:
        path: The TOML file.
        known_ids: The ids of all checks, without parameters; None accepts unknown ids.
        aliases: Ids of an earlier version, which are known as well.

    Raises:
        ExpectationsError: Unreadable, malformed, or an entry for a check that does not exist.
    """
    own = _parsed(path)
    others = [_parsed(beside, named_in=own) for beside in _beside(own)]
    return tuple(entry for file in (own, *others) for entry in _entries(file, known_ids, aliases))


@dataclass(frozen=True)
class _File:
    """A parsed file of known violations, all of whose keys exist.

    Attributes:
        path: The file.
        text: Its text.
        tables: Its keys and tables.
    """

    path: Path
    text: str
    tables: dict[str, Any]

    def where(self, word: str) -> str:
        """The file, and the line on which a word stands first."""
        return f"{self.path}:{_line(self.text, word)}"


def _parsed(path: Path, named_in: _File | None = None) -> _File:
    try:
        text = path.read_text("utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ExpectationsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExpectationsError(f"{path}: not TOML: {error}") from error
    file = _File(path, text, tables)
    if unknown := set(tables) - {TABLE, ALSO}:
        key = sorted(unknown)[0]
        raise ExpectationsError(f"{file.where(key)}: unknown key {key!r}; the only ones are [[{TABLE}]] and {ALSO}")
    if named_in and ALSO in tables:
        raise ExpectationsError(
            f"{named_in.where(ALSO)}: {path.name} has the key {ALSO!r} itself; list its meshes here"
        )
    return file


def _beside(file: _File) -> list[Path]:
    """The files of the other meshes that a file names."""
    meshes = file.tables.get(ALSO, [])
    if not isinstance(meshes, list) or not all(isinstance(mesh, str) for mesh in meshes):
        raise ExpectationsError(f"{file.where(ALSO)}: {ALSO} is a list of the names of meshes; it is {meshes!r}")
    return [file.path.with_name(f"{mesh}.toml") for mesh in meshes]


def _entries(file: _File, known_ids: Collection[str] | None, aliases: Aliases) -> list[KnownViolation]:
    entries, rows = file.tables.get(TABLE, []), enumerate(file.text.split("\n"), 1)
    lines = [number for number, row in rows if re.match(rf"\s*\[\[\s*{TABLE}\s*\]\]", row)]
    if not isinstance(entries, list) or len(entries) != len(lines):
        raise ExpectationsError(f"{file.where(TABLE)}: write each entry as a table of its own, [[{TABLE}]]")
    return [
        _exists(KnownViolation(check, entry["reason"], entry["link"], where, aliases.get(check)), known_ids)
        for where, entry in zip((f"{file.path}:{line}" for line in lines), entries, strict=True)
        for check in _checks(where, entry)
    ]


def _checks(where: str, entry: dict[str, Any]) -> list[str]:
    """The ids in a well-formed entry."""
    check: Any = entry.get("check")
    checks: list[str] = check if isinstance(check, list) else [check]
    texts = [*checks, *(value for key, value in entry.items() if key != "check")]
    if sorted(entry) != sorted(KEYS) or not checks or not all(isinstance(text, str) and text for text in texts):
        raise ExpectationsError(
            f"{where}: an entry has exactly {', '.join(KEYS)}, each a text; it has {entry!r}; check may also be a list"
        )
    return checks


def _exists(known: KnownViolation, known_ids: Collection[str] | None) -> KnownViolation:
    name = known.whole
    if known_ids is not None and known.alias is None and name not in known_ids:
        near = [i for i in sorted(known_ids) if i.partition("/")[0] == name.partition("/")[0]] or sorted(known_ids)
        raise ExpectationsError(f"{known.where}: no check {name!r}; available: {', '.join(near)}")
    return known


def _line(text: str, word: str) -> int:
    for number, line in enumerate(text.split("\n"), 1):
        if word in line:
            return number
    return 1
