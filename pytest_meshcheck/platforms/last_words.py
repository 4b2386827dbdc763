"""The cause in the log of a process that died: its first critical line, not the stack trace after it."""

import re

from pytest_meshcheck.model.redaction import redacted

LONGEST_LINE = 500
"""Characters of a quoted line."""

CRITICAL = re.compile(
    r"\[critical\]"  # Envoy; its assertions too
    r"|\b(?:assert failure|assertion failed|Assertion .* failed)\b"
    r"|^panic: |^fatal error: "  # Go
    r"|\bpanicked at\b"  # Rust
    r"|\bterminate called\b|^\*\*\* "  # C++ and its library
    r"|\b(?:FATAL|CRITICAL)\b"
    r"|^Fatal Python error: ",
    re.MULTILINE,
)
TRACEBACK = "Traceback (most recent call last):"
MESSAGE_FOLLOWS = re.compile(r"panicked at .*:\d+:\d+:$")
"""Rust gives place and message a line each."""


def last_words(log: str) -> str:
    """Why a process died, as its log says it, in a sentence without a full stop; secrets are taken out."""
    lines = [line.strip() for line in redacted(log).splitlines()]
    if why := _critical(lines) or _exception(redacted(log).splitlines()):
        return f"its log says: {why[:LONGEST_LINE]}"
    last = next((line for line in reversed(lines) if line), "")
    return f"its log does not say why, and ends: {last[:LONGEST_LINE]}" if last else "its log is empty"


def _critical(lines: list[str]) -> str:
    for number, line in enumerate(lines):
        if CRITICAL.search(line):
            rest = lines[number + 1 : number + 2] if MESSAGE_FOLLOWS.search(line) else []
            return " ".join([line, *rest])
    return ""


def _exception(lines: list[str]) -> str:
    """The last line of the last traceback, which names the exception that ended the process."""
    begins = [number for number, line in enumerate(lines) if line.strip() == TRACEBACK]
    after = lines[begins[-1] + 1 :] if begins else []
    return next((line.strip() for line in after if line.strip() and not line.startswith(" ")), "")
