"""Why a part of a configuration does nothing, as far as the manifests tell; a table of reasons, each a pure function.

A reason is looked for once a part has been seen to change nothing; it explains that, and is no finding by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.manifests.mutation.linkerd_reasons import OF_LINKERD
from pytest_meshcheck.manifests.mutation.parts import (
    GATEWAY_API,
    ISTIO_NETWORKING,
    ISTIO_SECURITY,
    SUBSET,
    Part,
    within,
)
from pytest_meshcheck.manifests.mutation.stimuli import shape_of_match
from pytest_meshcheck.manifests.mutation.targets import (
    OF_WORKLOADS,
    Configuration,
    concerned,
    hosts,
    hosts_outside,
    is_about_hosts,
    matches,
    namespace_of,
    rivals,
    rules_of,
    selected,
    selector,
)
from pytest_meshcheck.manifests.objects import KubernetesObject, texts
from pytest_meshcheck.manifests.services import CLUSTER_DOMAIN, Destination, full_name

VIRTUAL_SERVICE = (ISTIO_NETWORKING, "VirtualService")
DESTINATION_RULE = (ISTIO_NETWORKING, "DestinationRule")
PEER_AUTHENTICATION = (ISTIO_SECURITY, "PeerAuthentication")
AUTHORIZATION_POLICY = (ISTIO_SECURITY, "AuthorizationPolicy")
HTTP_ROUTE = (GATEWAY_API, "HTTPRoute")


@dataclass(frozen=True)
class Reason:
    """Why a part does nothing.

    Attributes:
        words: The reason, naming what it is about with file and line.
        is_enough: Whether no effect is possible, also of fields that no measurement sees.
    """

    words: str
    is_enough: bool


def reason(part: Part, around: Configuration) -> Reason | None:
    """The first reason that applies; None if none is found."""
    found = ((finder(part, around), is_enough) for finder, is_enough in (*FINDERS, *OF_LINKERD))
    return next((Reason(words, is_enough) for words, is_enough in found if words), None)


def host_unknown(part: Part, around: Configuration) -> str:
    """Every host is a name in the namespaces of the manifests, and no service has it."""
    named = hosts(part.resource) if is_about_hosts(part.resource) else []
    if not named or any(around.has_service(one) for one in named) or hosts_outside(part.resource, around):
        return ""
    hint = ""
    if any(_has_dots_only(one, around) for one in named):
        hint = f"; a host with dots is taken as it is, so write NAME.NAMESPACE.{CLUSTER_DOMAIN}"
    return f"no service of these manifests has the host {', '.join(map(_plain, named))}{hint}"


def selector_unmatched(part: Part, around: Configuration) -> str:
    """No workload has the labels of the selector, or there is none at all."""
    if part.kind not in OF_WORKLOADS or selected(part.resource, around):
        return ""
    labels = selector(part.resource)
    if not labels:
        return f"there is no workload in the namespace {part.resource.namespace}"
    return f"no workload of these manifests in {part.resource.namespace} has the labels {_words(labels)}"


def subset_without_endpoints(part: Part, around: Configuration) -> str:
    """No workload behind the host has the labels of a subset, or of any subset of a rule that has nothing else."""
    empty = [one for one in _subsets(part) if not _endpoints(part.resource, one, around)]
    if not empty or len(empty) < len(_subsets(part)):
        return ""
    named = "; ".join(f"{one.get('name')}: {_words(texts(one.get('labels')))}" for one in empty)
    return f"no workload behind {part.resource.spec.get('host')} has the labels of the subset {named}"


def subset_without_route(part: Part, around: Configuration) -> str:
    """No route leads to a subset, or to any subset of a rule that has nothing else."""
    subsets, routed = _subsets(part), _routed_subsets(around)
    named = set(hosts(part.resource)) if subsets else set()
    if not subsets or any((host, one.get("name")) in routed for host in named for one in subsets):
        return ""
    return f"no route of these manifests leads to the subset {', '.join(str(one.get('name')) for one in subsets)}"


def opaque_port(part: Part, around: Configuration) -> str:
    """It is about HTTP, and every port of its hosts is declared as something else."""
    ports = concerned(part.resource, around)
    if not _is_about_http(part) or not ports or any(_speaks_http(one) for one in ports):
        return ""
    declared = "; ".join(f"{one.declared.by} of {one}{_service_place(one, around)}" for one in ports)
    return f"its rules are about HTTP, which the mesh does not see where the port is opaque: {declared}"


def shadowed(part: Part, _around: Configuration) -> str:
    """An earlier rule of a VirtualService matches all that it does, or an earlier one of a route the very same."""
    if part.kind not in (VIRTUAL_SERVICE, HTTP_ROUTE) or not part.path:
        return ""
    rules, number = within(part.resource.manifest, part.path[:-1]), int(part.path[-1])
    in_order = part.kind == VIRTUAL_SERVICE
    for earlier, rule in enumerate(rules[:number], 1):
        if in_order and _matches_everything(rule):
            return f"rule {earlier} before it matches every request"
        if all(each in _matches_of(rule) for each in _matches_of(part.content)):
            return f"rule {earlier} before it matches the same requests"
    return ""


def said_twice(part: Part, around: Configuration) -> str:
    """Another rule of the list, or another resource about the same, says the same."""
    rules = within(part.resource.manifest, part.path[:-1])
    if part.path and isinstance(rules, list):
        same = [number for number, one in enumerate(rules) if number != part.path[-1] and one == part.content]
        return f"rule {same[0] + 1} says the same; keep one of the two" if same else ""
    others = [] if part.path else [one for one in rivals(part.resource, around) if one.spec == part.resource.spec]
    return f"{others[0]} ({others[0].place}) says the same; keep one of the two" if others else ""


def overruled(part: Part, around: Configuration) -> str:
    """Another resource of the kind is about the same hosts or workloads, of which only one acts."""
    if part.kind == AUTHORIZATION_POLICY:
        return ""
    others = [f"{one} ({one.place})" for one in rivals(part.resource, around)]
    what = "hosts" if is_about_hosts(part.resource) else "workloads"
    return f"overruled by {', '.join(others)}, about the same {what}" if others else ""


def leads_there_anyway(part: Part, around: Configuration) -> str:
    """Its routes lead to the service that was called, and to a subset of all the workloads behind it, or to none."""
    if part.kind != VIRTUAL_SERVICE:
        return ""
    rules = [part.content] if part.path else list(rules_of(part.resource, "http"))
    to = [each.get("destination") or {} for rule in rules for each in matches(rule, "route")]
    named, subsets = hosts(part.resource), {str(one["subset"]) for one in to if one.get("subset")}
    is_bare = all(set(rule) <= {"name", "match", "route"} for rule in rules) and set(part.resource.spec) <= {
        "hosts",
        "http",
    }
    if not (to and is_bare and all(_host_of(one, part.resource) in named for one in to)):
        return ""
    if not all(_has_all(named, subset, part, around) for subset in subsets):
        return ""
    whole = f", and every workload behind it has the labels of the subset {', '.join(sorted(subsets))}"
    return f"requests go to {', '.join(sorted({str(one.get('host')) for one in to}))} anyway{whole if subsets else ''}"


def said_more_widely(part: Part, around: Configuration) -> str:
    """A PeerAuthentication of the namespace or the mesh has the same mode already, or it is the default."""
    if part.kind != PEER_AUTHENTICATION or part.path:
        return ""
    mode = within(part.content, ("mtls", "mode"))
    for one in around.plan.resources:
        is_wider = (one.group, one.kind) == part.kind and one is not part.resource and not selector(one)
        is_around = one.namespace in (part.resource.namespace, around.home)
        if is_wider and is_around and within(one.spec, ("mtls", "mode")) == mode:
            return f"{one} ({one.place}) says {mode} already"
    return "PERMISSIVE holds without it" if mode == "PERMISSIVE" else ""


def port_unknown(part: Part, around: Configuration) -> str:
    """No selected workload has the port of a PeerAuthentication's exception."""
    if part.kind != PEER_AUTHENTICATION or not part.path:
        return ""
    serving = {str(port.number) for one in selected(part.resource, around) for port in one.ports}
    return "" if str(part.path[-1]) in serving else f"no workload that it selects has the port {part.path[-1]}"


Finder = Callable[[Part, Configuration], str]

FINDERS: Sequence[tuple[Finder, bool]] = (
    # finder, whether its reason is enough where the resource has fields that are not measured
    (host_unknown, True),
    (selector_unmatched, True),
    (port_unknown, True),
    (subset_without_endpoints, True),
    (opaque_port, True),
    (shadowed, True),
    (said_twice, True),
    (overruled, False),
    (leads_there_anyway, False),
    (subset_without_route, False),
    (said_more_widely, False),
)
"""From the most specific reason to the least."""


def _has_dots_only(host: str, around: Configuration) -> bool:
    return not host.endswith(f".{CLUSTER_DOMAIN}") and namespace_of(host, around) is not None


def _plain(host: str) -> str:
    return host.replace(f"..{CLUSTER_DOMAIN}", "")


def _words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in labels.items())


def _subsets(part: Part) -> list[Mapping[str, Any]]:
    """The subsets that a part consists of; none where it has more to say."""
    if part.kind != DESTINATION_RULE:
        return []
    if part.path:
        return [part.content] if SUBSET in part.name else []
    return [] if part.resource.spec.get("trafficPolicy") else list(part.resource.spec.get("subsets") or ())


def _endpoints(resource: KubernetesObject, subset: Mapping[str, Any], around: Configuration) -> bool:
    labels = texts(subset.get("labels")).items()
    return any(labels <= one.labels.items() for port in concerned(resource, around) for one, _ in port.backends)


def _routed_subsets(around: Configuration) -> set[tuple[str, str]]:
    """The subsets that routes lead to, each with its full host."""
    found = set()
    for one in around.plan.resources:
        for rule in [*_met(rules_of(one, "http")), *rules_of(one, "tcp"), *rules_of(one, "tls")]:
            mirrors = [rule.get("mirror"), *(each.get("destination") for each in matches(rule, "mirrors"))]
            for to in [*(each.get("destination") for each in matches(rule, "route")), *mirrors]:
                if isinstance(to, Mapping):
                    found.add((_host_of(to, one), str(to.get("subset", ""))))
    return found


def _host_of(destination: Mapping[str, Any], resource: KubernetesObject) -> str:
    """The full host of a destination."""
    host = str(destination.get("host", ""))
    return host if "." in host else full_name(resource.namespace, host)


def _has_all(named: Sequence[str], subset: str, part: Part, around: Configuration) -> bool:
    """Whether all workloads behind these hosts have the labels of a subset."""
    found = [
        texts(one.get("labels"))
        for rule in around.plan.resources
        if (rule.group, rule.kind) == DESTINATION_RULE and set(hosts(rule)) & set(named)
        for one in rule.spec.get("subsets") or ()
        if one.get("name") == subset
    ]
    behind = [one for port in concerned(part.resource, around) for one, _ in port.backends]
    return bool(found) and all(found[0].items() <= one.labels.items() for one in behind)


def _met(rules: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The rules of a VirtualService up to one that matches everything."""
    last = next((number for number, rule in enumerate(rules, 1) if _matches_everything(rule)), len(rules))
    return rules[:last]


def _is_about_http(part: Part) -> bool:
    """Whether a part has rules of HTTP alone."""
    if part.kind == HTTP_ROUTE:
        return True
    of_rule = part.path[1:2] == ("http",)
    spec = part.resource.spec
    return part.kind == VIRTUAL_SERVICE and (of_rule or ("http" in spec and not {"tcp", "tls"} & set(spec)))


def _speaks_http(port: Destination) -> bool:
    return not port.declared.by or port.declared.spoken.facts.is_http


def _service_place(port: Destination, around: Configuration) -> str:
    named = [one for one in around.plan.services if (one.namespace, one.name) == (port.namespace, port.service)]
    return f" ({named[0].place})" if named else ""


def _matches_of(rule: Mapping[str, Any]) -> list[Any]:
    """The matches of a rule without their names; one that matches everything where it has none."""
    found = [*matches(rule), *matches(rule, "matches")]
    return [{key: value for key, value in one.items() if key != "name"} for one in found] or [{}]


def _matches_everything(rule: Mapping[str, Any]) -> bool:
    return any(set(one) <= {"uri"} and shape_of_match(one) == Shape() and _is_prefix(one) for one in _matches_of(rule))


def _is_prefix(match: Mapping[str, Any]) -> bool:
    return not match or set(match["uri"]) == {"prefix"}
