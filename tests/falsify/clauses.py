"""The clauses of the suite: each ``expect`` in its source, and those that a defect trips."""

import ast
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.falsify.table import SUITE

PLACE = "MESHCHECK_CLAUSES"
"""The environment variable with the path of the file that names the tripped clauses, by mesh and check."""

FILE = "clauses.json"
"""Its name in the folder of a run."""

Tripped = Mapping[str, Mapping[str, frozenset[str]]]
"""By mesh and by id of a check, its tripped clauses."""


def read(file: Path) -> Tripped:
    """What a run wrote down."""
    return {
        mesh: {check: frozenset(clauses) for check, clauses in by_check.items()}
        for mesh, by_check in json.loads(file.read_text()).items()
    }


@cache
def all_clauses() -> tuple[str, ...]:
    """Every clause of the suite, ``family/file.py:line``."""
    return tuple(_named(path, begin) for path in sorted(SUITE.rglob("*.py")) for begin, _ in _ranges(path))


def clause_at(path: Path, line: int) -> str:
    """The clause that a line of the suite is in."""
    return _named(path, max(begin for begin, end in _ranges(path) if begin <= line <= end))


@cache
def _ranges(path: Path) -> tuple[tuple[int, int], ...]:
    """The first and the last line of each clause."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return tuple(sorted({(call.lineno, call.end_lineno or call.lineno) for call in calls if _is_clause(call)}))


def _is_clause(call: ast.Call) -> bool:
    """Whether it is of the form ``expect(...).something(...)``."""
    match call.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="expect"))):
            return True
    return False


def _named(path: Path, line: int) -> str:
    return f"{path.relative_to(SUITE)}:{line}"
