"""Why Envoy rejected a configuration, in its own words."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pytest_meshcheck.platforms.redaction import redacted

LOGGED = re.compile(
    r"^\[[^]]*\]\[\d+\]\[\w+\]\[[\w.]+\] \[[^]]*\] (?P<message>.*(?:reject|fail|error|invalid).*)$", re.I | re.M
)


LONGEST = 600
"""Characters of a reason; Envoy quotes the whole file where it cannot parse it."""


def reasons(config_dump: bytes, log: str) -> str:
    """The error states in a configuration dump, or else what the log says since the publication; keys redacted."""
    stated = list(dict.fromkeys(_error_states(json.loads(config_dump))))
    logged = [match["message"][:LONGEST] for match in LOGGED.finditer(redacted(log))]
    return "; ".join(stated or logged) or "Envoy gives no reason"


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
