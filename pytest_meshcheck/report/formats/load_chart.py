"""The chart of a load: requests, losses, the slowest answer and certificates, step by step."""

from collections.abc import Iterator

from markupsafe import Markup

from pytest_meshcheck.checks.history import LoadLine
from pytest_meshcheck.model.observation import LoadSlice
from pytest_meshcheck.report.formats import svg
from pytest_meshcheck.report.formats.words import duration
from pytest_meshcheck.report.history import CERTIFICATE

PANEL, STRIP, LABEL = 44, 12, 18
"""Heights in pixels: of a panel of bars, of a strip of marks, and of the label above either."""

LOSSES = 2 * (LABEL + PANEL)
CERTIFICATES = LOSSES + LABEL + STRIP
FOOT = CERTIFICATES + LABEL + STRIP + 4


def draw(load: LoadLine) -> Markup:
    """The picture."""
    width = 100 / len(load.slices)
    marks = [(width * tick / load.step, f"{tick:g} s") for tick in svg.ticks(seconds(load))]
    parts = [
        *svg.axis(marks, FOOT, LABEL),
        *_marks(load, width),
        *_requests(load, width),
        *_slowest(load, width),
        *_losses(load, width),
    ]
    return svg.picture(f"{load.name}, step by step: {summary(load)}", FOOT + 22, parts)


def seconds(load: LoadLine) -> float:
    """The duration of the load."""
    return len(load.slices) * load.step


def summary(load: LoadLine) -> str:
    """The result of all requests in one line."""
    sent = sum(one.sent for one in load.slices)
    wrong = {
        "failed": sum(one.failed for one in load.slices),
        "lost": sum(one.lost for one in load.slices),
        "served twice": sum(one.doubled for one in load.slices),
    }
    found = ", ".join(f"{number} {what}" for what, number in wrong.items() if number)
    return f"{sent} requests in {seconds(load):.3g} s, {found or 'none lost'}"


def _requests(load: LoadLine, width: float) -> Iterator[Markup]:
    most = max(one.sent for one in load.slices) or 1
    yield svg.text(f"requests in each {'second' if load.step == 1 else f'{load.step:g} s'} (up to {most})", 0, svg.TEXT)
    for number, one in enumerate(load.slices):
        high, bad = (PANEL * number / most for number in (one.sent, one.failed + one.lost))
        place, foot, title = (width * number, width * (number + 0.9)), LABEL + PANEL, _title(load, number)
        yield svg.bar(*place, foot - high, high, "served", title=title)
        if bad:
            yield svg.bar(*place, foot - bad, bad, "wrong", title=title)


def _slowest(load: LoadLine, width: float) -> Iterator[Markup]:
    most = max(one.slowest for one in load.slices) or 1.0
    top = LABEL + PANEL
    yield svg.text(f"slowest answer (up to {duration(most)})", 0, top + svg.TEXT + 2)
    heights = [top + LABEL + PANEL - (PANEL - 2) * one.slowest / most for one in load.slices]
    for number, (before, now) in enumerate(zip([heights[0], *heights], heights, strict=False)):
        yield svg.line(width * max(number - 0.5, 0), before, width * (number + 0.5), now, "slowest")


def _losses(load: LoadLine, width: float) -> Iterator[Markup]:
    wrong = [number for number, one in enumerate(load.slices) if one.failed or one.lost or one.doubled]
    yield svg.text("losses" if wrong else "losses: none", 0, LOSSES + svg.TEXT + 2)
    for number in wrong:
        yield svg.bar(width * number, width * (number + 1), LOSSES + LABEL, STRIP, "wrong", title=_title(load, number))


def _marks(load: LoadLine, width: float) -> Iterator[Markup]:
    dots = []
    for mark in load.marks:
        x, title = width * mark.at / load.step, f"{mark.what} after {mark.at:g} s"
        kind = "certificate" if mark.what == CERTIFICATE else "rotation"
        dots.append(svg.dot(x, CERTIFICATES + LABEL + STRIP / 2, kind, title))
        if kind == "rotation":
            yield svg.line(x, LABEL, x, FOOT, "until")
    bullets = (svg.element("tspan", "\u25cf", class_=kind) for kind in ("rotation", "certificate"))
    legend = Markup("{} rotation step  {} new certificate").format(*bullets)
    yield svg.text(legend, 0, CERTIFICATES + svg.TEXT + 2)
    yield from dots


def _title(load: LoadLine, number: int) -> str:
    one: LoadSlice = load.slices[number]
    parts = {"failed": one.failed, "lost": one.lost, "served twice": one.doubled}
    found = [f"{number} {what}" for what, number in parts.items() if number]
    return ", ".join([f"from {number * load.step:.3g} s: {one.sent} sent", *found, f"slowest {duration(one.slowest)}"])
