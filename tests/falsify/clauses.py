"""The clauses of the suite: each ``expect`` in its source, and those that a defect trips."""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.falsify.clusters import NETWORK, ON_CLUSTERS
from tests.falsify.table import ROOT, SUITE, node as collected

FILE = "clauses.json"
"""Names the tripped clauses of a run, by mesh and check; it is beside the reports."""

Tripped = Mapping[str, Mapping[str, frozenset[str]]]
"""By mesh and by id of a check, the names of its tripped clauses."""


@dataclass(frozen=True)
class Clause:
    """One ``expect(...).something(...)``, or one ``kept_out(...)``.

    Attributes:
        name: ``family/file.py::function:number``, counted in the function from 1.
        begin: Its first line.
        end: Its last line.
    """

    name: str
    begin: int
    end: int


def read(file: Path) -> Tripped:
    """What a run wrote down."""
    return {
        mesh: {check: frozenset(names) for check, names in by_check.items()}
        for mesh, by_check in json.loads(file.read_text()).items()
    }


def all_clauses() -> tuple[str, ...]:
    """The names of all clauses of the suite, but for those of checks that need a cluster to fail on."""
    on_clusters = {ROOT / collected(check).partition("::")[0] for check in ON_CLUSTERS}
    files = (path for path in sorted(SUITE.rglob("*.py")) if path.parent.name != NETWORK and path not in on_clusters)
    return tuple(clause.name for path in files for clause in clauses_of(path))


def clause_at(path: Path, line: int) -> str:
    """The clause that a line of the suite is in."""
    around = [clause for clause in clauses_of(path) if clause.begin <= line <= clause.end]
    return max(around, key=lambda clause: clause.begin).name


@cache
def clauses_of(path: Path) -> tuple[Clause, ...]:
    """The clauses in one file."""
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    )
    return tuple(
        Clause(f"{path.relative_to(SUITE)}::{function.name}:{number}", call.lineno, call.end_lineno or call.lineno)
        for function in functions
        for number, call in enumerate(sorted(_calls(function), key=lambda call: call.lineno), 1)
    )


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    """The clauses in a function, without those in functions inside of it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Call) and _is_clause(node):
            yield node
        if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            yield from _calls(node)


def _is_clause(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="expect"))) | ast.Name(id="kept_out"):
            return True
    return False
