"""The time line of a request: its client above, each attempt at a server below."""

from markupsafe import Markup

from pytest_meshcheck.checks.history import TimeLine, TriedAt
from pytest_meshcheck.probe.protocol.messages import AttemptEnding, Ending
from pytest_meshcheck.report.formats import svg
from pytest_meshcheck.report.formats.words import duration

BAR = 10
"""The height of a bar in pixels."""

BELOW, NEXT = 6, 28
"""Pixels from the label of a row down to its bar, and to the next row."""

SHOWN = 12
"""The maximum number of drawn attempts; further ones are counted."""

OPEN = 1.15
"""The end of the bar of an open attempt, relative to the duration of the request."""

ENDED = {
    AttemptEnding.OPEN: "still open",
    AttemptEnding.ANSWERED: "answered",
    AttemptEnding.CUT: "cut by the server",
    AttemptEnding.CANCELLED: "cancelled by the caller",
}


def draw(seen: TimeLine) -> Markup:
    """The picture."""
    attempts = (seen.attempts or ())[:SHOWN]
    ends = [_end(one, seen) for one in attempts]
    last = max(seen.seconds, *ends, 0.001)
    rows, foot = _client(seen, last)
    for one in attempts:
        row, foot = _attempt(one, seen, foot, last)
        rows += row
    foot += 8
    marks = [(100 * tick / last, duration(tick)) for tick in svg.ticks(last)]
    left = _note(seen)
    height = foot + 22 + (18 if left else 0)
    parts = [
        *svg.axis(marks, foot, svg.TEXT + 6),
        *rows,
        svg.line(100 * seen.seconds / last, svg.TEXT + 6, 100 * seen.seconds / last, foot, "until"),
        *([svg.text(left, 0, foot + 36, class_="soft")] if left else []),
    ]
    return svg.picture(f"Time line of a request: {_client_label(seen)}; {len(attempts)} attempts", height, parts)


def _note(seen: TimeLine) -> str:
    if seen.attempts is None:
        return "Whether attempts reached the server is unknown."
    if not seen.attempts:
        return "Nothing reached the application."
    more = len(seen.attempts) - SHOWN
    return f"and {more} more attempts" if more > 0 else ""


def _client(seen: TimeLine, last: float) -> tuple[list[Markup], float]:
    """The label and the bar of the client, and the top of the next row."""
    label, baseline = svg.label(_client_label(seen), 0)
    kind = f"bar client {_client_kind(seen)}"
    return [*label, svg.bar(0, 100 * seen.seconds / last, baseline + BELOW, BAR, kind)], baseline + NEXT


def _client_kind(seen: TimeLine) -> str:
    """The style: served, answered with an error (neither good nor bad), or broken off."""
    if seen.ending is not Ending.ANSWERED:
        return "broken"
    return "answered" if seen.status is None or seen.status < seen.protocol.facts.error else "error"


def _client_label(seen: TimeLine) -> str:
    status = "" if seen.status is None else f" {'grpc-status ' if seen.protocol.facts.grpc else ''}{seen.status}"
    return f"{seen.client}: {seen.ending}{status} after {duration(seen.seconds)}"


def _attempt(one: TriedAt, seen: TimeLine, top: float, last: float) -> tuple[list[Markup], float]:
    """The label and the bar of an attempt, as late after the client's end, and the top of the next row."""
    end, label = _end(one, seen), _label(one, seen)
    parts, baseline = svg.label(label, top)
    y = baseline + BELOW
    begin, until, past = (100 * min(max(moment, 0), last) / last for moment in (one.arrived, seen.seconds, end))
    parts.append(svg.bar(begin, max(min(past, until), begin), y, BAR, f"bar {one.ending}", title=label))
    if past > until and end - seen.seconds > 0.001:
        title = f"{label}, after the client's end"
        parts.append(svg.bar(max(until, begin), past, y, BAR, f"bar late {one.ending}", title=title))
    return parts, baseline + NEXT


def _end(one: TriedAt, seen: TimeLine) -> float:
    """The end of an attempt's bar; that of an open attempt exceeds all others."""
    return OPEN * max(seen.seconds, one.arrived) if one.ended is None else one.ended


def _label(one: TriedAt, seen: TimeLine) -> str:
    ended = "" if one.ended is None else f" after {duration(max(one.ended - one.arrived, 0))}"
    late = ", late" if one.arrived > seen.seconds else ""
    is_earlier = one.ended is not None and one.ended < 0
    begun = f"{duration(-one.arrived)} before" if is_earlier else f"at {duration(max(one.arrived, 0))}"
    several = len({each.server for each in seen.attempts or ()}) > 1
    name = f"{one.server}, attempt {one.number}" if several else f"attempt {one.number}"
    return f"{name}: {begun}{late}, {ENDED[one.ending]}{ended}"
