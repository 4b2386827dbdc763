"""The ids of checks: made from folder and function name, read from sources without importing them."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from pytest_meshcheck.checks.requirements import CatalogueError

SOURCES = "test_*.py"
"""The files of a suite that contain checks."""


def check_id(path: Path, function_name: str) -> str:
    """``conformance/mtls/test_x.py``, ``test_plaintext_is_refused`` -> ``mtls/plaintext-is-refused``."""
    return f"{path.parent.name}/{function_name.removeprefix('test_').replace('_', '-')}"


def without_parameters(identifier: str) -> str:
    """``retry/x[1-2]`` -> ``retry/x``."""
    return identifier.partition("[")[0]


def covers(meant: str, identifier: str) -> bool:
    """Whether an id stands for a check with these parameters: it is the same, or that of the whole check."""
    return meant in (identifier, without_parameters(identifier))


def only(path: Path, function_name: str) -> str:
    """The id of a check.

    Raises:
        CatalogueError: Another check in the same folder has it.
    """
    _ids_in(path.resolve().parent)
    return check_id(path, function_name)


def known_ids(root: Path) -> frozenset[str]:
    """The ids of every check of a suite, without parameters.

    Raises:
        CatalogueError: Two checks have one id, or a source cannot be read.
    """
    folders = {path.parent for path in root.rglob(SOURCES)}
    return frozenset(identifier for folder in folders for identifier in _ids_in(folder))


@functools.cache
def _ids_in(folder: Path) -> frozenset[str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob(SOURCES)):
        for name, line in _checks_in(path):
            identifier, where = check_id(path, name), f"{path}:{line}"
            if identifier in found:
                raise CatalogueError(
                    f"{where}: the id {identifier!r} is taken by {found[identifier]}; rename one of the two functions"
                )
            found[identifier] = where
    return frozenset(found)


def _checks_in(path: Path) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise CatalogueError(f"{path}: cannot be read: {error}") from error
    for node in tree.body:
        if isinstance(node, ast.AsyncFunctionDef) and any(map(_is_check, node.decorator_list)):
            yield node.name, node.lineno


def _is_check(decorator: ast.expr) -> bool:
    if not isinstance(decorator, ast.Call):
        return False
    named = decorator.func
    return (isinstance(named, ast.Name) and named.id == "check") or (
        isinstance(named, ast.Attribute) and named.attr == "check"
    )
