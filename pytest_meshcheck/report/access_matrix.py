"""The access matrix of a report: who reaches which port of a user's services."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.verdict import Result

TITLE = "Access matrix"
"""The heading of the matrix."""


class Sign(enum.StrEnum):
    """What a cell comes to, the first of these that is so."""

    PLAINTEXT = "plaintext"
    """A request in plaintext reached the application."""
    VARIES = "varies"
    DISAGREES = "disagrees"
    """What a caller saw by the name of the service is not what the application saw."""
    SERVED = "served"
    BY_ADDRESS = "by-address"
    """The name of the service leads nowhere, and the address of a pod leads in."""
    REFUSED = "refused"
    UNTRIED = "untried"


@dataclass(frozen=True)
class Cell:
    """What one caller's calls of one port came to.

    Attributes:
        words: E.g. ``served``, or ``refused (status 403), by address served``.
        reached: Whether a request reached the application.
        plaintext: Whether one did so in plaintext.
        sign: What it comes to, in a picture.
    """

    words: str
    reached: bool
    plaintext: bool
    sign: Sign = Sign.UNTRIED


@dataclass(frozen=True)
class Row:
    """One port, and a cell for each caller."""

    destination: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class AccessMatrix:
    """The callers, and a row for each port."""

    callers: tuple[str, ...]
    rows: tuple[Row, ...]


def access_matrix(results: Iterable[Result]) -> AccessMatrix | None:
    """The matrix of all results that have a part of it; None without any."""
    found = [one for result in results if result.access is not msgspec.UNSET for one in result.access]
    entries = [one for one in found if not one.within_pod]
    callers = tuple(dict.fromkeys(one.caller for one in entries))
    destinations = dict.fromkeys(one.destination for one in entries)
    rows = tuple(
        Row(
            where,
            tuple(_cell([one for one in entries if (one.destination, one.caller) == (where, who)]) for who in callers),
        )
        for where in destinations
    )
    return AccessMatrix(callers, rows) if rows else None


def _cell(entries: Sequence[Access]) -> Cell:
    by_name = dict.fromkeys(one.words for one in entries if not one.address_of)
    by_address = dict.fromkeys(one.words for one in entries if one.address_of)
    words = " or ".join(by_name)
    if by_address and by_address.keys() != by_name.keys():
        words += f", by address {' or '.join(by_address)}"
    reached, plaintext = any(one.arrived for one in entries), any(one.plaintext for one in entries)
    return Cell(words, reached, plaintext, _sign(entries))


def _sign(entries: Sequence[Access]) -> Sign:
    named = [one for one in entries if not one.address_of]
    outcomes = {one.outcome for one in named}
    signs = {
        # what it comes to: whether it does
        Sign.PLAINTEXT: any(one.plaintext for one in entries),
        Sign.VARIES: Outcome.VARIES in outcomes or len(outcomes) > 1,
        Sign.DISAGREES: any((one.outcome is Outcome.SERVED) is not one.arrived for one in named),
        Sign.SERVED: Outcome.SERVED in outcomes,
        Sign.BY_ADDRESS: any(one.reached for one in entries),
        Sign.REFUSED: bool(entries),
    }
    return next((sign for sign, holds in signs.items() if holds), Sign.UNTRIED)
