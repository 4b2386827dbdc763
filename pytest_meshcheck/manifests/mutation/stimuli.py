"""The requests that make rules act: of the paths, methods and headers that they match, and the failures they are about.

A rule that no request meets would seem to do nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.durations import seconds
from pytest_meshcheck.manifests.mutation.targets import matches, rules_of
from pytest_meshcheck.manifests.objects import KubernetesObject

LONGEST = 12.0
"""Seconds of the longest time limit and delay that requests wait for."""

FAILURES_OF = {
    # condition of a retry: the failures that meet it
    "5xx": ("503", "500", "reset"),
    "gateway-error": ("503",),
    "reset": ("reset",),
    "retriable-4xx": ("409",),
    "retriable-status-codes": (),
}
ANY = "meshcheck"
"""What stands for any text in paths."""

METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
ALWAYS = ("503",)
"""The failure that is tried in any case: meshes retry it by default."""


@dataclass(frozen=True)
class Stimuli:
    """What is sent to a port to see its rules act.

    Attributes:
        shapes: Kinds of requests; ``GET /`` is one of them.
        failures: How services fail: a status, or ``reset``.
        limits: Time limits in seconds; services stall for longer than the longest.
        delays: Delays in seconds that rules insert.
        by_chance: Whether rules act on a share of the requests.
    """

    shapes: tuple[Shape, ...]
    failures: tuple[str, ...]
    limits: tuple[float, ...]
    delays: tuple[float, ...]
    by_chance: bool


def stimuli(resources: Iterable[KubernetesObject]) -> Stimuli:
    """The requests for all rules of resources about the same ports."""
    found = list(resources)
    rules = [rule for one in found for name in ("http", "rules") for rule in rules_of(one, name)]
    shapes = dict.fromkeys([Shape(), *(shape for one in rules for shape in _shapes(one)), *_unnamed(rules)])
    retried = [failure for rule in rules for failure in failures(str((rule.get("retries") or {}).get("retryOn", "")))]
    faults = [rule.get("fault") or {} for rule in rules]
    return Stimuli(
        shapes=tuple(shapes),
        failures=tuple(dict.fromkeys([*ALWAYS, *retried])),
        limits=tuple(sorted({limit for rule in rules for limit in limits(rule) if 0 < limit <= LONGEST})),
        delays=tuple(sorted({one for fault in faults if 0 < (one := delay(fault)) <= LONGEST})),
        by_chance=any(_by_chance(rule) for rule in rules),
    )


def failures(retry_on: str) -> list[str]:
    """The failures that meet the conditions of a retry, as far as a service can be made to fail like this."""
    named = [one.strip() for one in retry_on.split(",")]
    return [each for one in named for each in ((one,) if one.isdigit() else FAILURES_OF.get(one, ()))]


def limits(rule: Mapping[str, Any]) -> Iterator[float]:
    """The times after which a rule ends a request: its own, and that of all attempts together."""
    yield seconds(rule.get("timeout", ""))
    retries = rule.get("retries") or {}
    if each := seconds(retries.get("perTryTimeout", "")):
        yield each * (1 + int(retries.get("attempts", 2)))
    timeouts = rule.get("timeouts") or {}
    yield from (seconds(timeouts.get(name, "")) for name in ("request", "backendRequest"))


def delay(fault: Mapping[str, Any]) -> float:
    """The delay that a fault inserts, in seconds; 0 without one."""
    return seconds((fault.get("delay") or {}).get("fixedDelay", ""))


def shape_of_match(match: Mapping[str, Any]) -> Shape:
    """A request that a match of a VirtualService or HTTPRoute means, as far as it can be made from it."""
    path, method = match.get("uri") or match.get("path") or {}, match.get("method", "GET")
    queries = match.get("queryParams") or {}
    asked = queries.items() if isinstance(queries, Mapping) else [(one["name"], one) for one in queries]
    query = "&".join(f"{name}={_text(value)}" for name, value in asked)
    return Shape(
        method=_text(method) if isinstance(method, Mapping) else str(method),
        path=_path(path) + (f"?{query}" if query else ""),
        headers=tuple((str(name), _text(value)) for name, value in _headers(match)),
    )


def shapes_of_operation(operation: Mapping[str, Any]) -> Iterator[Shape]:
    """The requests that an operation of an AuthorizationPolicy means, each method with each path."""
    for method in (*(operation.get("methods") or ()), *(operation.get("notMethods") or ())) or ("GET",):
        for path in (*(operation.get("paths") or ()), *(operation.get("notPaths") or ())) or ("/",):
            yield Shape("GET" if "*" in str(method) else str(method), path_in(str(path)))


def path_in(pattern: str) -> str:
    """A path that a pattern of an AuthorizationPolicy matches: ``/a*``, ``*/a``, ``/a/{*}``, ``/a/{**}`` or exact."""
    filler = ANY if pattern.startswith("/") else f"/{ANY}"
    path = pattern.replace("{**}", ANY).replace("{*}", ANY).replace("*", filler)
    return path if path.startswith("/") else "/"


def _path(match: Mapping[str, Any]) -> str:
    """A path for a match: below a prefix, where no exact match of another rule takes it."""
    given = _text(match) if match else ""
    is_prefix = "prefix" in match or match.get("type") == "PathPrefix"
    return f"{given.rstrip('/')}/{ANY}" if is_prefix and given != "/" else given or "/"


def _unnamed(rules: Iterable[Mapping[str, Any]]) -> Iterator[Shape]:
    """Requests with a path, or a method, that no rule names: they meet the rules that match everything else."""
    found = [(conditions, rule) for rule in rules for conditions in _conditions(rule)]
    if any({"uri", "path", "paths", "notPaths"} & set(conditions) for conditions, _ in found):
        yield Shape(path=f"/{ANY}")
    if any({"method", "methods", "notMethods"} & set(conditions) for conditions, _ in found):
        named = {shape.method for _, rule in found for shape in _shapes(rule)}
        yield Shape(next(one for one in METHODS if one not in named))


def _conditions(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    operations = [to.get("operation") or {} for to in matches(rule, "to")]
    return [*matches(rule), *matches(rule, "matches"), *operations]


def _shapes(rule: Mapping[str, Any]) -> Iterator[Shape]:
    yield from map(shape_of_match, [*matches(rule), *matches(rule, "matches")])
    for to in matches(rule, "to"):
        yield from shapes_of_operation(to.get("operation") or {})


def _headers(match: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Names and values of the headers of a match, a mapping in Istio and a list in the Gateway API."""
    found = match.get("headers") or {}
    yield from found.items() if isinstance(found, Mapping) else ((one.get("name"), one) for one in found)


def _text(value: Any) -> str:
    """The text that a match compares with; a header that need only be there gets some text."""
    if isinstance(value, Mapping):
        return str(
            next((value[name] for name in ("exact", "prefix", "value") if value.get(name)), "x" if not value else "")
        )
    return str(value)


def _by_chance(rule: Mapping[str, Any]) -> bool:
    """Whether a rule acts on some requests and not on others of the same kind."""
    to = [*(rule.get("route") or ()), *(rule.get("backendRefs") or ())]
    fault = rule.get("fault") or {}
    shares = [(fault.get(kind) or {}).get("percentage", {}).get("value", 100) for kind in ("abort", "delay")]
    shares += [(rule.get("mirrorPercentage") or {}).get("value", 100)]
    return len(to) > 1 or any(0 < float(one) < 100 for one in shares)
