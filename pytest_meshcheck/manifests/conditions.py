"""The requests that meet the conditions of rules with faults and mirrors, which others do not see; pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.manifests.settings import KEYS, ROUTES, Setting, concerning, paths_in

MOST = 5
"""The kinds of requests to one port."""

TEXTS = ("exact", "prefix", "value")
"""The keys of a text that a request can have; one of a regular expression cannot be made."""


def conditioned(plan: Plan, destination: Destination) -> tuple[Shape, ...]:
    """The requests for all rules about a port that inject a fault or mirror, and that ``GET /`` alone does not meet."""
    keys = (*KEYS[Setting.FAULT], *KEYS[Setting.MIRROR])
    found = [
        shape
        for one in concerning(plan, destination)
        for part, matched, _ in ROUTES.get(one.kind, ())
        for rule in one.spec.get(part) or ()
        if any(paths_in(rule, keys, part))
        for match in rule.get(matched) or ()
        for shape in _shapes(match)
    ]
    return tuple(dict.fromkeys(one for one in found if one != Shape()))[:MOST]


def _shapes(match: Mapping[str, Any]) -> Iterator[Shape]:
    """The request of a match; none where it has a condition that cannot be met by a text of its own."""
    path, method = match.get("uri") or match.get("path") or {}, match.get("method") or "GET"
    headers = match.get("headers") or {}
    named = headers.items() if isinstance(headers, Mapping) else [(one["name"], one) for one in headers]
    texts = [(str(name), _text(value)) for name, value in named]
    wanted = [_text(path) if path else "/", _text(method), *(value for _, value in texts)]
    if all(wanted):
        yield Shape(wanted[1], wanted[0], tuple(texts))


def _text(value: Any) -> str:
    """The text that a match compares with; any for a header that need only be there, and empty for an expression."""
    if not isinstance(value, Mapping):
        return str(value)
    if value.get("type") == "RegularExpression":
        return ""
    return str(next((value[key] for key in TEXTS if value.get(key)), "" if value else "x"))
