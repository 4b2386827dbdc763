"""Manifests as people have them: a file, a folder of files, YAML text, or plain data."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.platforms.base import Manifest

Source = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A path, YAML text (which has a line break), one manifest, or several."""

SUFFIXES = (".yaml", ".yml", ".json")
REQUIRED = ("apiVersion", "kind", "metadata")


def manifests_of(source: Source) -> list[Manifest]:
    """The manifests in their order, in a folder by the names of its files; a ``List`` counts as its items.

    Raises:
        ClusterError: There is no such file, it is no YAML, or no manifest.
    """
    found = [item for where, one in _documents(source) for item in _items(where, one)]
    if not found:
        raise ClusterError(f"{_called(source)} has no manifest")
    return found


def _documents(source: Source) -> Iterator[tuple[str, Any]]:
    """The candidates for manifests, each with its source."""
    if isinstance(source, Mapping):
        yield "the manifest", source
    elif isinstance(source, str) and "\n" in source:
        yield from _parsed("the YAML text", source)
    elif isinstance(source, str | Path):
        for path in _files(Path(source)):
            yield from _parsed(str(path), path.read_text("utf-8"))
    else:
        yield from (("the manifest", one) for one in source)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ClusterError(f"{path}: there is no such file or folder; relative paths begin in {Path.cwd()}")
    return sorted(one for one in path.iterdir() if one.suffix in SUFFIXES)


def _parsed(where: str, text: str) -> Iterator[tuple[str, Any]]:
    try:
        yield from ((where, one) for one in yaml.safe_load_all(text) if one is not None)
    except yaml.YAMLError as error:
        raise ClusterError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _items(where: str, document: Any) -> list[Manifest]:
    if isinstance(document, Mapping) and document.get("kind") == "List":
        return [item for one in document.get("items", []) for item in _items(where, one)]
    missing = [key for key in REQUIRED if not isinstance(document, Mapping) or key not in document]
    if missing:
        raise ClusterError(f"{where}: a manifest has no {', '.join(missing)}")
    if not document["metadata"].get("name"):
        raise ClusterError(f"{where}: a {document['kind']} has no metadata.name")
    return [dict(document)]


def _called(source: Source) -> str:
    return str(source) if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source) else "the source"
