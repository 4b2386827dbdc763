"""Envoy's reason for rejecting resources, shortened for people."""

import re
from pathlib import Path

from pytest_meshcheck.model.redaction import redacted

TRUNCATED = "(truncated)"
"""The end of a truncated reason: it quotes the resource first, so the fault is lost."""

ENTRY = re.compile(r"^\[[^]]*\]\[\d+\]\[\w+\]\[\w+\] ", re.M)
"""The beginning of a log entry; an entry that quotes a resource has many lines."""

LONGEST = 600
BEGINNING = 100
"""The maximum length of a reason, and the part of it kept for its beginning, in characters."""


def reason(stated: str, type_url: str, log: Path) -> str:
    """Why Envoy rejected resources of one type: as in its answer, or as in its log if that was truncated."""
    if not stated.endswith(TRUNCATED):
        return _cut(stated)
    entries = ENTRY.split(redacted(log.read_text("utf-8", errors="replace")))
    found = [entry.partition(f" config for {type_url} rejected: ")[2] for entry in entries]
    return _cut(next(filter(None, reversed(found)), stated))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:BEGINNING]} [...] {text[BEGINNING - LONGEST :]}"
