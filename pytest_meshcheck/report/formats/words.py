"""Figures and times for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

SHOWN = 8
"""Names that are shown of a list."""


def duration(seconds: float) -> str:
    """A duration: ``0.4 ms``, ``240 ms``, ``3.2 s``, ``2 min 05 s``."""
    if 0 < seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms".replace(".0 ms", " ms")
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def figure(value: float | str) -> str:
    """A measured figure: a float with four significant digits, anything else unchanged."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def listed(names: Sequence[str]) -> str:
    """Names in a line, of which a long list is cut: ``a, b and 4 more``."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def moment(started: str) -> str:
    """An ISO 8601 time as ``2026-03-01 14:05 UTC``; other text is unchanged."""
    try:
        return datetime.fromisoformat(started).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return started
