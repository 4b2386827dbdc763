"""Whether a request is certain to meet a rule of a route, and no other one; pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.mutation.parts import GATEWAY_API, ISTIO_NETWORKING, Part, within
from pytest_meshcheck.manifests.mutation.targets import matches

VIRTUAL_SERVICE = (ISTIO_NETWORKING, "VirtualService")
ROUTES = (VIRTUAL_SERVICE, (GATEWAY_API, "HTTPRoute"))

OF_CALLERS = ("sourceLabels", "sourceNamespace", "port")
"""Conditions that some caller meets with any request."""


def meets(shape: Shape, part: Part) -> bool:
    """Whether a request is certain to meet this rule: in a VirtualService before all others, in an HTTPRoute alone."""
    rules, number = within(part.resource.manifest, part.path[:-1]), int(part.path[-1])
    others = rules[:number] if part.kind == VIRTUAL_SERVICE else [*rules[:number], *rules[number + 1 :]]
    own = [_without_callers(one) for one in _matches(part.content)]
    return any(_fits(shape, one) is True for one in own) and not any(
        _fits(shape, one) is not False for other in others for one in _matches(other)
    )


def _matches(rule: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*matches(rule), *matches(rule, "matches")] or [{}]


def _without_callers(match: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in match.items() if name not in OF_CALLERS}


def _fits(shape: Shape, match: Mapping[str, Any]) -> bool | None:
    """Whether a request fits a match; None where that is not certain."""
    answers = [_condition(shape, name, wanted) for name, wanted in match.items()]
    return False if False in answers else None if None in answers else True


def _condition(shape: Shape, name: str, wanted: Any) -> bool | None:
    target = urlsplit(shape.path)
    if name == "name":
        return True
    if name in ("uri", "path"):
        return _compared(target.path, wanted)
    if name == "method":
        return _compared(shape.method, wanted if isinstance(wanted, Mapping) else {"exact": wanted})
    if name in ("headers", "queryParams"):
        given = dict(shape.headers if name == "headers" else parse_qsl(target.query))
        pairs = wanted.items() if isinstance(wanted, Mapping) else [(one.get("name"), one) for one in wanted]
        answers = [_compared(given[key], how) if key in given else False for key, how in pairs]
        return False if False in answers else None if None in answers else True
    return None


def _compared(text: str, wanted: Mapping[str, Any]) -> bool | None:
    """Whether a text is as a match of Istio or of the Gateway API wants it; an empty one wants any text."""
    if "exact" in wanted or ("value" in wanted and wanted.get("type", "Exact") == "Exact"):
        return bool(text == str(wanted.get("exact", wanted.get("value"))))
    if "prefix" in wanted or wanted.get("type") == "PathPrefix":
        return text.startswith(str(wanted.get("prefix", wanted.get("value"))))
    return None if wanted else True
