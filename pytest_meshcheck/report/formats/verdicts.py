"""The presentation of each verdict in all formats: page, Markdown, terminal and badge."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.checks.verdict import Result, Verdict

CONTRADICTED = "Claims contradicted by checks"
"""The heading of the claims that a check contradicts."""


@dataclass(frozen=True)
class Look:
    """The presentation of one verdict.

    Attributes:
        word: The word in text, e.g. on a chip.
        counted: The word after a number.
        sign: One character for table cells; the title has the word.
        symbol: The symbol in Markdown, which has no colours; the word follows it.
        badge: The colour of a badge, in the names of shields.io.
        markup: Keywords for the terminal.
        heading: The heading of the section that lists these checks; empty if they need no attention.
        advice: The introduction of the section.
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
        """Whether a check with this verdict needs attention."""
        return bool(self.heading)


LOOKS: Mapping[Verdict, Look] = {
    Verdict.VIOLATES: Look("violates", "violates", "✗", "❌", "red", {"red": True}, "Violations"),
    Verdict.FIXED: Look(
        *("fixed", "fixed", "✓", "🔧", "orange", {"red": True}, "Fixed"),
        "These checks conform now although the expectations list them: remove the entries.",
    ),
    Verdict.INCONCLUSIVE: Look(
        *("inconclusive", "inconclusive", "?", "❔", "orange", {"yellow": True}, "Inconclusive"),
        "A control failed, or the platform, the mesh or a probe broke. These checks show nothing about the mesh.",
    ),
    Verdict.KNOWN_VIOLATION: Look(
        *("known violation", "known violation", "!", "🟠", "yellow", {"yellow": True}, "Known violations"),
        "The expectations list these checks, and they still violate.",
    ),
    Verdict.CONFORMS: Look("conforms", "conform", "✓", "✅", "brightgreen", {"green": True}),
    Verdict.UNSUPPORTED: Look("unsupported", "unsupported", "\N{EN DASH}", "⚪", "lightgrey"),
    Verdict.NOT_RUN: Look("not run", "not run", "·", "⏸", "lightgrey"),
}
"""The verdicts by urgency."""

ATTENTION = tuple(verdict for verdict, look in LOOKS.items() if look.needs_attention)
"""In the order in which reports list them."""


def worst(found: Mapping[Verdict, int]) -> Verdict | None:
    """The most urgent of the given verdicts; None without any."""
    return next((verdict for verdict in LOOKS if found.get(verdict)), None)


def attention(results: tuple[Result, ...]) -> Iterator[tuple[Verdict, Look, list[Result]]]:
    """The verdicts that need attention, with their results."""
    for verdict in ATTENTION:
        if found := [result for result in results if result.verdict is verdict]:
            yield verdict, LOOKS[verdict], found
