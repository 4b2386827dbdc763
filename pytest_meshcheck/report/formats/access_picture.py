"""The picture of who reaches what: callers as rows, ports as columns, and a sign in each cell."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from pytest_meshcheck.report.access_matrix import AccessMatrix, Cell, Sign

CHARACTERS: Mapping[Sign, tuple[str, str]] = {
    # what a cell comes to: its character, and what it means; shapes differ, for those who do not see colours
    Sign.SERVED: ("●", "served over the mesh"),
    Sign.PLAINTEXT: ("■", "reached in plaintext"),
    Sign.BY_ADDRESS: ("◐", "refused by name, reached by the address of a pod"),
    Sign.VARIES: ("≈", "sometimes served"),
    Sign.DISAGREES: ("!", "caller and application disagree"),
    Sign.REFUSED: ("✕", "refused"),
    Sign.UNTRIED: ("", ""),
}


@dataclass(frozen=True)
class Name:
    """A name of Kubernetes in two parts.

    Attributes:
        namespace: Its namespace with the slash; empty without one.
        short: The rest.
    """

    namespace: str
    short: str

    def __str__(self) -> str:
        return f"{self.namespace}{self.short}"

    @classmethod
    def of(cls, name: str) -> "Name":
        """The parts of e.g. ``shop/orders:8080``."""
        namespace, slash, short = name.rpartition("/")
        return cls(namespace + slash, short)


@dataclass(frozen=True)
class Line:
    """One caller with its cells, in the order of the ports."""

    caller: Name
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Picture:
    """What is drawn.

    Attributes:
        namespaces: The namespaces above the ports, each with the number of columns that it spans.
        ports: The columns.
        lines: The rows.
        legend: The character, the meaning, the kind and the number of each sign that occurs.
    """

    namespaces: tuple[tuple[str, int], ...]
    ports: tuple[Name, ...]
    lines: tuple[Line, ...]
    legend: tuple[tuple[str, str, Sign, int], ...]


def picture(matrix: AccessMatrix) -> Picture:
    """The picture of a matrix."""
    ports = tuple(Name.of(row.destination) for row in matrix.rows)
    columns = (row.cells for row in matrix.rows)
    lines = tuple(
        Line(Name.of(caller), cells) for caller, cells in zip(matrix.callers, zip(*columns, strict=True), strict=True)
    )
    return Picture(_spans(ports), ports, lines, _legend(cell for line in lines for cell in line.cells))


def character(cell: Cell) -> str:
    """The sign of a cell."""
    return CHARACTERS[cell.sign][0]


def _spans(ports: Iterable[Name]) -> tuple[tuple[str, int], ...]:
    return tuple((namespace, len(list(found))) for namespace, found in groupby(one.namespace for one in ports))


def _legend(cells: Iterable[Cell]) -> tuple[tuple[str, str, Sign, int], ...]:
    found = Counter(cell.sign for cell in cells)
    return tuple(
        (drawn, words, sign, found[sign]) for sign, (drawn, words) in CHARACTERS.items() if found[sign] and drawn
    )
