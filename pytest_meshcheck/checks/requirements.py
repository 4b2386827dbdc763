"""Requirements: the sentences that checks test, and the documents that they are based on.

A suite states them family by family, in ``<family>/requirements.toml`` below the folder that holds ``suite.toml``. A
suite without ``suite.toml`` states all of them in one ``requirements.toml``, and the folder that holds it is the root.
"""

import functools
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

SUITE = "suite.toml"
"""Marks the root of a suite whose families state their requirements in folders of their own."""

REQUIREMENTS = "requirements.toml"


class CatalogueError(Exception):
    """A check, a requirement or an alias is malformed; the message names the place and the fix."""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document that a requirement is based on."""

    title: str
    url: str
    quote: str = ""
    """The sentence of it that counts; left out where none is quoted, and in older reports."""


class Requirement(msgspec.Struct, frozen=True):
    """One sentence in the terms of RFC 2119, with its sources."""

    text: str
    sources: tuple[Source, ...]


def suite_root(path: Path) -> Path:
    """The root of the suite that a check belongs to: the nearest folder above it that is one.

    Raises:
        CatalogueError: There is none.
    """
    for folder in path.resolve().parents:
        if (folder / SUITE).is_file():
            return folder
        if (folder / REQUIREMENTS).is_file() and not (folder.parent / SUITE).is_file():
            return folder
    raise CatalogueError(
        f"{path}: no {SUITE} and no {REQUIREMENTS} in any folder above; write a {REQUIREMENTS} beside it, with a table "
        "[family.name] for each requirement: text = '...', sources = [{ title = '...', url = '...' }]"
    )


@functools.cache
def requirements(root: Path) -> Mapping[str, Requirement]:
    """The requirements of a suite, by id.

    Raises:
        CatalogueError: A file is not TOML, an entry lacks its text or its sources, an id is taken or belongs to another
            family, or there is no file.
    """
    found: dict[str, tuple[Requirement, Path]] = {}
    for path in _files(root):
        for name, stated in _stated_in(path):
            if name in found:
                raise CatalogueError(f"{path}: [{name}] is taken by {found[name][1]}; rename one of the two")
            if path.parent != root and (family := _family(name)) != path.parent.name:
                raise CatalogueError(
                    f"{path}: [{name}] belongs to the family {family!r}; "
                    f"state it in {family}/{REQUIREMENTS}, or call it [{path.parent.name}.…]"
                )
            found[name] = stated, path
    return {name: stated for name, (stated, _) in found.items()}


def stated_id(root: Path, where: str, name: str) -> str:
    """The id of the requirement that a check tests.

    Raises:
        CatalogueError: The suite does not state it; the message begins with ``where``.
    """
    known = requirements(root)
    if name in known:
        return name
    family = _family(name)
    if available := sorted(one for one in known if _family(one) == family):
        raise CatalogueError(f"{where}: no requirement {name!r}; available: {', '.join(available)}")
    families = sorted(set(map(_family, known)))
    raise CatalogueError(f"{where}: no requirements of a family {family!r}; available: {', '.join(families)}")


def _family(name: str) -> str:
    return name.partition(".")[0]


def _files(root: Path) -> list[Path]:
    if not (root / SUITE).is_file():
        return [root / REQUIREMENTS]
    files = [*root.glob(REQUIREMENTS), *sorted(root.glob(f"*/{REQUIREMENTS}"))]
    if not files:
        raise CatalogueError(f"{root / SUITE}: no family beside it has a {REQUIREMENTS}; state what its checks require")
    return files


def _stated_in(path: Path) -> Iterator[tuple[str, Requirement]]:
    try:
        entries = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    for name, entry in _flattened(entries).items():
        yield name, _requirement(path, name, entry)


def _flattened(entries: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in entries.items():
        if isinstance(value, dict) and "text" not in value:
            flat |= _flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _requirement(path: Path, name: str, entry: Any) -> Requirement:
    try:
        stated = msgspec.convert(entry, Requirement)
        if unknown := {key for source in entry["sources"] for key in source}.difference(Source.__struct_fields__):
            raise msgspec.ValidationError(f"unknown key {min(unknown)!r}")
    except msgspec.ValidationError as error:
        raise CatalogueError(
            f"{path}: [{name}] needs 'text', and 'sources' with 'title', 'url' and perhaps 'quote': {error}"
        ) from error
    return stated
