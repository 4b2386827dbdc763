"""How each verdict is shown: the one table that the page, the Markdown, the terminal and the badge are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.checks.verdict import Result, Verdict

CONTRADICTED = "Claims contradicted by checks"
"""Heading of the capabilities that are claimed although a check shows otherwise."""


@dataclass(frozen=True)
class Look:
    """How one verdict is shown.

    Attributes:
        word: In text, e.g. on a chip.
        counted: The same behind a number.
        sign: One character for a cell of a table; the word is in its title.
        symbol: In Markdown, which has no colours; the word is beside it.
        badge: Colour of a badge, in the names of shields.io.
        markup: Keywords of the terminal.
        heading: Of the section in which reports list these checks; empty where they need no attention.
        advice: What the section says first.
    """

    word: str
    counted: str
    sign: str
    symbol: str
    badge: str
    markup: Mapping[str, bool] = field(default_factory=dict)
    heading: str = ""
    advice: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether somebody has to look at a check that ended so."""
        return bool(self.heading)


LOOKS: Mapping[Verdict, Look] = {
    Verdict.VIOLATES: Look("violates", "violates", "✗", "❌", "red", {"red": True}, "Violations"),
    Verdict.FIXED: Look(
        *("fixed", "fixed", "✓", "🔧", "orange", {"red": True}, "Fixed"),
        "These checks conform now although the expectations list them: remove the entries.",
    ),
    Verdict.INCONCLUSIVE: Look(
        *("inconclusive", "inconclusive", "?", "❔", "orange", {"yellow": True}, "Inconclusive"),
        "A control failed, or platform, mesh or probe broke. Nothing is known of the mesh from these.",
    ),
    Verdict.KNOWN_VIOLATION: Look(
        *("known violation", "known violation", "!", "🟠", "yellow", {"yellow": True}, "Known violations"),
        "The expectations list these checks, and they still violate.",
    ),
    Verdict.CONFORMS: Look("conforms", "conform", "✓", "✅", "brightgreen", {"green": True}),
    Verdict.UNSUPPORTED: Look("unsupported", "unsupported", "\N{EN DASH}", "⚪", "lightgrey"),
    Verdict.NOT_RUN: Look("not run", "not run", "·", "⏸", "lightgrey"),
}
"""What needs attention first stands first."""

ATTENTION = tuple(verdict for verdict, look in LOOKS.items() if look.needs_attention)
"""In the order in which reports list them."""


def worst(found: Mapping[Verdict, int]) -> Verdict | None:
    """Of the verdicts that there are, the one that needs attention most; None where there is none."""
    return next((verdict for verdict in LOOKS if found.get(verdict)), None)


def attention(results: tuple[Result, ...]) -> Iterator[tuple[Verdict, Look, list[Result]]]:
    """What somebody has to look at: each such verdict with its results."""
    for verdict in ATTENTION:
        if found := [result for result in results if result.verdict is verdict]:
            yield verdict, LOOKS[verdict], found
