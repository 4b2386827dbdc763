"""Charts of seconds: a row per kind, a dot per measurement, such as from each policy to its effect."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from pytest_meshcheck.checks.verdict import Result
from pytest_meshcheck.report.formats import svg
from pytest_meshcheck.report.formats.words import duration

DOTS, NEXT = 12, 28
"""Pixels from the label of a row down to its dots, and to the next row."""

FLOOR = 0.001
"""The left end of the logarithmic axis, in seconds; quicker ones are drawn here."""


def to_effect(results: Iterable[Result]) -> Mapping[str, Sequence[float]]:
    """The seconds until a policy was in effect, by kinds of policy in all checks; the commonest kind first.

    A step without a policy, which has no kind, is left out.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    for result in results:
        for kinds, seconds in (result.history.policies if result.history else {}).items():
            if kinds:
                found[kinds] += seconds
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def draw(found: Mapping[str, Sequence[float]], description: str) -> Markup:
    """The chart of seconds by kind; at least one value is needed."""
    every = [max(seconds, FLOOR) for several in found.values() for seconds in several]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)) - 1e-9)
    span = max(high - low, 1)
    marks = [(100 * number / span, duration(10.0 ** (low + number))) for number in range(span + 1)]
    parts, foot = list[Markup](), 0.0
    for kinds, several in found.items():
        row, foot = _row(kinds, several, foot, low, span)
        parts += row
    return svg.picture(description, foot + 22, [*svg.axis(marks, foot, 0), *parts])


def _row(kinds: str, several: Sequence[float], top: float, low: int, span: int) -> tuple[list[Markup], float]:
    """A row of the chart, and the top of the next one."""
    middle, most = duration(statistics.median(several)), duration(max(several))
    figures = f"median {middle}, max {most}" if len(several) > 1 else most
    parts, baseline = svg.label(f"{kinds} ({len(several)}): {figures}", top)
    for seconds in several:
        x = 100 * (math.log10(max(seconds, FLOOR)) - low) / span
        parts.append(svg.dot(x, baseline + DOTS, "effect", f"{kinds}: {duration(seconds)}"))
    return parts, baseline + NEXT
