"""SVG elements and axes: pictures fill the available width, so that text keeps its size on a phone.

Horizontal positions are therefore percentages, and vertical ones pixels; colours come from the style sheet.
"""

import math
import re
import textwrap
from collections.abc import Iterable

from markupsafe import Markup

TEXT = 12
"""Pixels from the top of a line of text to its baseline."""

LINE = 15
"""Pixels from one line of a label to the next."""

WIDTH = 52
"""Characters of a line of a label, for which a card has room on a phone of 390 pixels."""

NO_BREAK = "\u00a0"


def element(tag: str, *inside: str, **attributes: object) -> Markup:
    """An element; ``class_`` is class, and ``_`` in other names is ``-``. Text is escaped."""
    given = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(tag, given, Markup("").join(inside))


def picture(description: str, height: float, parts: Iterable[str]) -> Markup:
    """A picture with a description for screen readers."""
    title = element("title", description)
    return element("svg", title, *parts, class_="picture", role="img", width="100%", height=f"{height:g}")


def text(words: str, x: float, y: float, **attributes: object) -> Markup:
    """Text whose baseline begins at this point."""
    return element("text", words, x=f"{x:.2f}%", y=f"{y:g}", **attributes)


def label(words: str, top: float) -> tuple[list[Markup], float]:
    """A label at the left edge, in lines that fit on a phone as SVG wraps no text, and the baseline of the last one.

    Lines end after commas and colons, so that a figure stays with its unit.
    """
    lines = textwrap.wrap(re.sub("(?<![,:]) ", NO_BREAK, words), WIDTH)
    drawn = [text(line.replace(NO_BREAK, " "), 0, top + TEXT + LINE * number) for number, line in enumerate(lines)]
    return drawn, top + TEXT + LINE * (len(lines) - 1)


def bar(begin: float, end: float, y: float, height: float, kind: str, *, title: str = "") -> Markup:
    """A bar from one percentage to another; the stroke of its style keeps a short one visible."""
    inside = [element("title", title)] if title else []
    place = {"x": f"{begin:.2f}%", "width": f"{max(end - begin, 0):.2f}%", "y": f"{y:g}", "height": f"{height:g}"}
    return element("rect", *inside, class_=kind, **place)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", x1=f"{x1:.2f}%", y1=f"{y1:g}", x2=f"{x2:.2f}%", y2=f"{y2:g}", class_=kind)


def dot(x: float, y: float, kind: str, title: str) -> Markup:
    """A dot with a tooltip."""
    return element("circle", element("title", title), cx=f"{x:.2f}%", cy=f"{y:g}", r="4", class_=kind)


def ticks(last: float) -> list[float]:
    """About four round values from 0 to at most this one."""
    if last <= 0:
        return [0.0]
    power = 10.0 ** math.floor(math.log10(last / 3))
    step = next(factor * power for factor in (1, 2, 5, 10) if last / (factor * power) <= 5)
    return [number * step for number in range(int(last / step + 1e-9) + 1)]


def axis(marks: Iterable[tuple[float, str]], y: float, top: float) -> list[Markup]:
    """A horizontal axis: labels at these percentages, with lines up to ``top``."""
    drawn = []
    for x, label in marks:
        anchor = "start" if x < 5 else "end" if x > 95 else "middle"
        drawn += [
            line(x, top, x, y, "grid"),
            text(label, x, y + TEXT + 3, text_anchor=anchor, class_="soft"),
        ]
    return drawn
