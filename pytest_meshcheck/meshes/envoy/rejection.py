"""Why Envoy rejected a configuration, in its own words."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pytest_meshcheck.stage.redaction import redacted

ENTRY = re.compile(r"^\[[^]]*\]\[\d+\]\[\w+\]\[[\w.]+\] \[[^]]*\] ", re.M)
"""What each entry of the log begins with; an entry has many lines where Envoy quotes a resource."""

FAULT = re.compile(r".*(reject|fail|error|invalid)", re.I)
LONGEST = 600
"""Characters of a reason; Envoy quotes the whole resource before it says what is wrong with it."""

BEGINNING = 100
"""Of which so many are the beginning, where it is cut."""


def reasons(config_dump: bytes, log: str) -> str:
    """The error states in a configuration dump, or else what the log says since the publication; keys redacted."""
    stated = list(dict.fromkeys(_error_states(json.loads(config_dump))))
    logged = [_cut(entry.strip()) for entry in ENTRY.split(redacted(log))[1:] if FAULT.match(entry)]
    return "; ".join(stated or logged) or "Envoy gives no reason"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:BEGINNING]} [...] {text[BEGINNING - LONGEST :]}"


def _error_states(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "error_state" in node:
            # A list of resources bears the faults of all of them once more, under no name.
            yield from [f"{node['name']}: {node['error_state'].get('details', '')}"] if "name" in node else []
        for value in node.values():
            yield from _error_states(value)
    elif isinstance(node, list):
        for value in node:
            yield from _error_states(value)
