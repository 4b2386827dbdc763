"""Observations in the words of messages."""

from collections.abc import Sequence

from pytest_meshcheck.model.observation import Attempt, Ending, Exchange, LoadOutcome

SHOWN = 5
"""The number of failures listed in a message; the evidence has all of them."""


def described(exchange: Exchange) -> str:
    """How an exchange ended, and when, e.g. ``it was answered 503 after 312 ms, body "no healthy upstream"``."""
    status = [] if exchange.status is None else [str(exchange.status)]
    answer = status if exchange.ending is Ending.ANSWERED else []
    parts = [" ".join([f"it was {exchange.ending}", *answer, f"after {after(exchange.seconds)}"])]
    if status and not answer:
        parts.append(f"status {exchange.status}")
    if exchange.grpc_status is not None:
        parts.append(f"grpc-status {exchange.grpc_status}")
    body = exchange.body_start[:80].strip()
    parts += [part for part in (exchange.detail, f'body "{body}"' if body else "") if part]
    return printable(", ".join(parts))


def printable(text: str) -> str:
    """The text with escapes for control characters and others that no report can show."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def one_line(text: str) -> str:
    """As ``printable``, with single spaces in place of line breaks and other white space."""
    return printable(" ".join(text.split()))


def after(seconds: float) -> str:
    """A duration to the millisecond: ``0.2 ms``, ``312 ms``, ``2.041 s``."""
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3f} s"


def losses(load: LoadOutcome) -> str:
    """What went wrong in a load, and when, with the first failures."""
    wrong = {"failed": load.failed, "were lost": load.lost, "arrived twice": load.duplicated}
    found = ", ".join(f"{len(several)} {words}" for words, several in wrong.items() if several)
    steps = [number for number, one in enumerate(load.slices) if one.failed or one.lost or one.doubled]
    begin, end = (f"{number * load.step:g}" for number in (steps[0], steps[-1] + 1)) if steps else ("", "")
    when = f" from {begin} to {end} s after its start" if steps else ""
    reasons = printable("; ".join(f"{name} {why}" for name, why in load.failed[:SHOWN]))
    return f"of {load.sent} requests {found or 'none failed'}{when}{f': {reasons}' if reasons else ''}"


def within(attempts: Sequence[Attempt]) -> str:
    """The time between the first and the last of several attempts at one server."""
    if len(attempts) < 2 or len({attempt.instance for attempt in attempts}) > 1:
        return ""
    moments = [attempt.arrived for attempt in attempts]
    return f" within {after(max(moments) - min(moments))}"
