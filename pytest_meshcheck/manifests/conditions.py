"""The requests that meet the conditions of rules with faults and mirrors, or that lead nowhere; pure."""

from collections.abc import Mapping
from typing import Any

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.dead_ends import leads_nowhere
from pytest_meshcheck.manifests.mutation.stimuli import shape_of_match
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.manifests.settings import KEYS, ROUTES, Setting, concerning, paths_in

MOST = 5
"""The kinds of requests to one port."""


def conditioned(plan: Plan, destination: Destination) -> tuple[Shape, ...]:
    """The requests for all rules about a port that inject a fault, mirror or lead nowhere, beside ``GET /``."""
    keys = (*KEYS[Setting.FAULT], *KEYS[Setting.MIRROR])
    found = [
        shape_of_match(match)
        for one in concerning(plan, destination)
        for part, matched, _ in ROUTES.get(one.kind, ())
        for rule in one.spec.get(part) or ()
        if any(paths_in(rule, keys, part)) or leads_nowhere(plan, one, rule)
        for match in rule.get(matched) or ()
        if _is_literal(match)
    ]
    return tuple(dict.fromkeys(one for one in found if one != Shape()))[:MOST]


def _is_literal(match: Any) -> bool:
    """Whether a request can be made that meets a match for certain: there is no regular expression in it."""
    if isinstance(match, Mapping):
        is_expression = "regex" in match or match.get("type") == "RegularExpression"
        return not is_expression and all(map(_is_literal, match.values()))
    return all(map(_is_literal, match)) if isinstance(match, list) else True
