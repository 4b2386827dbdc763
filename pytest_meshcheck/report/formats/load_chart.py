"""A load as a picture: requests, losses, the slowest answer and certificates, second by second."""

from collections.abc import Iterator

from markupsafe import Markup

from pytest_meshcheck.checks.history import LoadLine
from pytest_meshcheck.model.observation import LoadSecond
from pytest_meshcheck.report.formats import svg
from pytest_meshcheck.report.formats.words import duration
from pytest_meshcheck.report.history import CERTIFICATE

PANEL, STRIP, LABEL = 44, 12, 18
"""Pixels of a panel of figures, of a strip of signs, and of the label above either."""

LOSSES = 2 * (LABEL + PANEL)
CERTIFICATES = LOSSES + LABEL + STRIP
FOOT = CERTIFICATES + LABEL + STRIP + 4


def draw(load: LoadLine) -> Markup:
    """The picture."""
    width = 100 / len(load.seconds)
    marks = [(width * tick, f"{tick:g} s") for tick in svg.ticks(len(load.seconds)) if tick == int(tick)]
    parts = [
        *svg.axis(marks, FOOT, LABEL),
        *_requests(load, width),
        *_slowest(load, width),
        *_losses(load, width),
        *_marks(load, width),
    ]
    return svg.picture(f"{load.name}, second by second: {summary(load)}", FOOT + 22, parts)


def summary(load: LoadLine) -> str:
    """What became of all requests, in a line."""
    sent = sum(one.sent for one in load.seconds)
    wrong = {
        "failed": sum(one.failed for one in load.seconds),
        "lost": sum(one.lost for one in load.seconds),
        "served twice": sum(one.doubled for one in load.seconds),
    }
    found = ", ".join(f"{number} {what}" for what, number in wrong.items() if number)
    return f"{sent} requests in {len(load.seconds)} s, {found or 'none lost'}"


def _requests(load: LoadLine, width: float) -> Iterator[Markup]:
    most = max(one.sent for one in load.seconds) or 1
    yield svg.text(f"requests per second (up to {most})", 0, svg.TEXT)
    for second, one in enumerate(load.seconds):
        high, bad = (PANEL * number / most for number in (one.sent, one.failed + one.lost))
        place, foot, title = (width * second, width * (second + 0.9)), LABEL + PANEL, _title(second, one)
        yield svg.bar(*place, foot - high, high, "served", title)
        if bad:
            yield svg.bar(*place, foot - bad, bad, "wrong", title)


def _slowest(load: LoadLine, width: float) -> Iterator[Markup]:
    most = max(one.slowest for one in load.seconds) or 1.0
    top = LABEL + PANEL
    yield svg.text(f"slowest answer (up to {duration(most)})", 0, top + svg.TEXT + 2)
    heights = [top + LABEL + PANEL - (PANEL - 2) * one.slowest / most for one in load.seconds]
    for second, (before, now) in enumerate(zip([heights[0], *heights], heights, strict=False)):
        yield svg.line(width * max(second - 0.5, 0), before, width * (second + 0.5), now, "slowest")


def _losses(load: LoadLine, width: float) -> Iterator[Markup]:
    wrong = [(second, one) for second, one in enumerate(load.seconds) if one.failed or one.lost or one.doubled]
    yield svg.text("losses" if wrong else "losses: none", 0, LOSSES + svg.TEXT + 2)
    for second, one in wrong:
        yield svg.bar(width * second, width * (second + 1), LOSSES + LABEL, STRIP, "wrong", _title(second, one))


def _marks(load: LoadLine, width: float) -> Iterator[Markup]:
    yield svg.text("certificates and rotation", 0, CERTIFICATES + svg.TEXT + 2)
    for mark in load.marks:
        x, title = width * mark.at, f"{mark.what} after {mark.at:g} s"
        if mark.what.startswith(CERTIFICATE):
            yield svg.dot(x, CERTIFICATES + LABEL + STRIP / 2, "certificate", title)
        else:
            yield svg.line(x, LABEL, x, FOOT, "until")
            yield svg.dot(x, CERTIFICATES + LABEL + STRIP / 2, "rotation", title)


def _title(second: int, one: LoadSecond) -> str:
    parts = {"failed": one.failed, "lost": one.lost, "served twice": one.doubled}
    found = [f"{number} {what}" for what, number in parts.items() if number]
    return ", ".join([f"second {second + 1}: {one.sent} sent", *found, f"slowest {duration(one.slowest)}"])
