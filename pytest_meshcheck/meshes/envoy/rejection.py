"""Why Envoy rejected a configuration, in its own words."""

import json
import re
from collections.abc import Iterator
from typing import Any

LOGGED = re.compile(
    r"^\[[^]]*\]\[\d+\]\[\w+\]\[[\w.]+\] \[[^]]*\] (?P<message>.*(?:reject|fail|error|invalid).*)$", re.I | re.M
)


def reasons(config_dump: bytes, log: str) -> str:
    """The error states in a configuration dump, or else what the log says since the publication."""
    stated = list(dict.fromkeys(_error_states(json.loads(config_dump))))
    return "; ".join(stated or (match["message"] for match in LOGGED.finditer(log))) or "Envoy gives no reason"


def _error_states(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "error_state" in node:
            yield f"{node.get('name', '')}: {node['error_state'].get('details', '')}".strip(": ")
        for value in node.values():
            yield from _error_states(value)
    elif isinstance(node, list):
        for value in node:
            yield from _error_states(value)
