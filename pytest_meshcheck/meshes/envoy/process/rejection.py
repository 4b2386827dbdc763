"""Envoy's reason for rejecting resources, short enough to be read."""

import re
from pathlib import Path

from pytest_meshcheck.model.redaction import redacted

TRUNCATED = "(truncated)"
"""How Envoy ends a reason that is too long for a request: it quotes the resource first, and the fault is lost."""

ENTRY = re.compile(r"^\[[^]]*\]\[\d+\]\[\w+\]\[\w+\] ", re.M)
"""What each entry of the log begins with; an entry has many lines where Envoy quotes a resource."""

LONGEST = 600
BEGINNING = 100
"""Characters of a reason, and how many of them are its beginning."""


def reason(stated: str, type_url: str, log: Path) -> str:
    """Why Envoy rejected resources of one type: as it stated, or as it logged where that was truncated."""
    if not stated.endswith(TRUNCATED):
        return _cut(stated)
    entries = ENTRY.split(redacted(log.read_text("utf-8", errors="replace")))
    found = [entry.partition(f" config for {type_url} rejected: ")[2] for entry in entries]
    return _cut(next(filter(None, reversed(found)), stated))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[:BEGINNING]} [...] {text[BEGINNING - LONGEST :]}"
