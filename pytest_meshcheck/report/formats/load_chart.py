"""The chart of a load: requests, losses, the slowest answer and what happened to the mesh, step by step."""

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from pytest_meshcheck.checks.history import LoadLine, Mark, MarkKind
from pytest_meshcheck.model.observation import LoadSlice
from pytest_meshcheck.report.formats import svg
from pytest_meshcheck.report.formats.words import duration

PANEL, STRIP, LABEL = 44, 12, 18
"""Heights in pixels: of a panel of bars, of a strip of losses or marks, and of the label above either."""

LEGEND: Mapping[MarkKind, str] = {
    MarkKind.ROTATION: "rotation step",
    MarkKind.UPGRADE: "upgrade step",
    MarkKind.DISRUPTION: "disruption",
    MarkKind.RESTART: "restart",
    MarkKind.CERTIFICATE: "new certificate",
}

LOSSES = 2 * (LABEL + PANEL)
MARKS = LOSSES + LABEL + STRIP
FOOT = MARKS + 4
"""Without marks."""


def draw(load: LoadLine, *, conforms: bool = False) -> Markup:
    """The picture. If the check conforms, it wanted the requests refused that were not served: they are no losses."""
    width = 100 / len(load.slices)
    ticks = [(width * tick / load.step, f"{tick:g} s") for tick in svg.ticks(seconds(load))]
    foot = FOOT + LABEL + STRIP if load.marks else FOOT
    parts = [
        *svg.axis(ticks, foot, LABEL),
        *_marks(load, width, foot),
        *_requests(load, width, "unserved" if conforms else "wrong"),
        *_slowest(load, width),
        *(_strip(load, width, "not served", "unserved") if conforms else _strip(load, width, "losses", "wrong")),
    ]
    return svg.picture(f"{load.name}, step by step: {summary(load, conforms=conforms)}", foot + 22, parts)


def seconds(load: LoadLine) -> float:
    """The duration of the load."""
    return len(load.slices) * load.step


def summary(load: LoadLine, *, conforms: bool = False) -> str:
    """The result of all requests in one line."""
    sent = sum(one.sent for one in load.slices)
    wrong = {
        "not served" if conforms else "failed": sum(one.failed for one in load.slices),
        "lost": sum(one.lost for one in load.slices),
        "served twice": sum(one.doubled for one in load.slices),
    }
    found = ", ".join(f"{number} {what}" for what, number in wrong.items() if number)
    return f"{sent} requests in {seconds(load):.3g} s, {found or 'none lost'}"


def event(mark: Mark) -> str:
    """The event of a mark in words."""
    return f"{LEGEND[mark.kind]}: {mark.what}"


def _requests(load: LoadLine, width: float, kind: str) -> Iterator[Markup]:
    most = max(one.sent for one in load.slices) or 1
    yield svg.text(f"requests in each {'second' if load.step == 1 else f'{load.step:g} s'} (up to {most})", 0, svg.TEXT)
    for number, one in enumerate(load.slices):
        high, bad = (PANEL * number / most for number in (one.sent, one.failed + one.lost))
        place, foot, title = (width * number, width * (number + 0.9)), LABEL + PANEL, _title(load, number)
        yield svg.bar(*place, foot - high, high, "served", title=title)
        if bad:
            yield svg.bar(*place, foot - bad, bad, kind, title=title)


def _slowest(load: LoadLine, width: float) -> Iterator[Markup]:
    most = max(one.slowest for one in load.slices) or 1.0
    top = LABEL + PANEL
    yield svg.text(f"slowest answer (up to {duration(most)})", 0, top + svg.TEXT + 2)
    foot = top + LABEL + PANEL
    points = [
        (width * (number + 0.5), foot - (PANEL - 2) * one.slowest / most)
        for number, one in enumerate(load.slices)
        if one.sent
    ]
    for before, now in zip([(0.0, points[0][1]), *points] if points else [], points, strict=False):
        yield svg.line(*before, *now, "slowest")


def _strip(load: LoadLine, width: float, label: str, kind: str) -> Iterator[Markup]:
    found = [number for number, one in enumerate(load.slices) if one.failed or one.lost or one.doubled]
    yield svg.text(label if found else "losses: none", 0, LOSSES + svg.TEXT + 2)
    for number in found:
        yield svg.bar(width * number, width * (number + 1), LOSSES + LABEL, STRIP, kind, title=_title(load, number))


def _marks(load: LoadLine, width: float, foot: float) -> Iterator[Markup]:
    if load.marks:
        yield svg.text(_legend(load), 0, MARKS + svg.TEXT + 2)
    dots = []
    for mark in load.marks:
        x = width * mark.at / load.step
        dots.append(svg.dot(x, MARKS + LABEL + STRIP / 2, mark.kind, f"{event(mark)} after {mark.at:g} s"))
        if mark.kind is not MarkKind.CERTIFICATE:
            yield svg.line(x, LABEL, x, foot, "until")
    yield from dots


def _legend(load: LoadLine) -> Markup:
    """The kinds of the marks, each with its dot."""
    present = {mark.kind for mark in load.marks}
    named = [(svg.element("tspan", "\u25cf", class_=kind), words) for kind, words in LEGEND.items() if kind in present]
    return Markup("  ").join(Markup("{} {}").format(dot, words) for dot, words in named)


def _title(load: LoadLine, number: int) -> str:
    one: LoadSlice = load.slices[number]
    parts = {"failed": one.failed, "lost": one.lost, "served twice": one.doubled}
    found = [f"{number} {what}" for what, number in parts.items() if number]
    return ", ".join([f"from {number * load.step:.3g} s: {one.sent} sent", *found, f"slowest {duration(one.slowest)}"])
