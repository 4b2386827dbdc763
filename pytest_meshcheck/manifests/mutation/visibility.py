"""What of a resource the measurements of a trial can see: a table of kinds and fields; pure.

A field that is not in it may act without anything being seen of it, so that nothing is said about its resource unless
something changes without it.
"""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pytest_meshcheck.manifests.durations import seconds
from pytest_meshcheck.manifests.mutation.parts import (
    GATEWAY_API,
    ISTIO_NETWORKING,
    ISTIO_SECURITY,
    NETWORKING,
    Part,
    within,
)
from pytest_meshcheck.manifests.mutation.rule_match import ROUTES, meets
from pytest_meshcheck.manifests.mutation.stimuli import FAILURES_OF, LONGEST, stimuli
from pytest_meshcheck.manifests.mutation.targets import (
    MESH_GATEWAY,
    Configuration,
    concerned,
    gateways,
    hosts_outside,
    is_about_hosts,
    selected,
)
from pytest_meshcheck.manifests.objects import KubernetesObject

SHARE = 20.0
"""Percent of the requests that a rule has to act on, so that a few dozen requests meet it."""

SHORTEST = 1.0
"""Seconds of the shortest delay that stands out on a loaded machine."""

MOST_SHAPES = 16

Seen = Callable[[Any, Configuration], bool]


def _always(_value: Any, _around: Configuration) -> bool:
    return True


def _limit(value: Any, _around: Configuration) -> bool:
    return seconds(value) <= LONGEST


def _delay(value: Any, _around: Configuration) -> bool:
    return SHORTEST <= seconds(value) <= LONGEST


def _share(value: Any, _around: Configuration) -> bool:
    return float(value) >= SHARE or not value


def _whole(value: Any, _around: Configuration) -> bool:
    return value in (0, 100)


def _retry_on(value: Any, _around: Configuration) -> bool:
    return all(one.strip().isdigit() or one.strip() in FAILURES_OF for one in str(value).split(","))


def _labels(value: Any, around: Configuration) -> bool:
    """Whether some caller has the label of a match, which is given with its value."""
    return any(value in one.labels.values() for one in around.plan.stand_ins)


def _namespace(value: Any, around: Configuration) -> bool:
    """Whether a namespace, which may have a wildcard, is one with callers."""
    return any(fnmatchcase(one.namespace, str(value)) for one in around.plan.stand_ins)


def _principal(value: Any, around: Configuration) -> bool:
    """Whether an identity, which may have a wildcard, is that of a caller."""
    return any(
        fnmatchcase(f"cluster.local/ns/{one.namespace}/sa/{one.service_account}", str(value))
        for one in around.plan.stand_ins
    )


def _account(value: Any, around: Configuration) -> bool:
    named = [f"{one.namespace}/{one.service_account}" for one in around.plan.stand_ins]
    return any(one == value or one.endswith(f"/{value}") for one in named)


def _port(value: Any, around: Configuration) -> bool:
    """Whether a port is one that is called."""
    called = {str(one.port) for one in around.plan.destinations}
    return str(value) in called | {str(number) for one in around.plan.destinations for _, number in one.backends}


def _action(value: Any, _around: Configuration) -> bool:
    return value in ("ALLOW", "DENY")


def _mesh(value: Any, _around: Configuration) -> bool:
    return bool(value == MESH_GATEWAY)


def _service(value: Any, _around: Configuration) -> bool:
    return bool(value == "Service")


def _literal(value: Any, _around: Configuration) -> bool:
    return bool(value != "RegularExpression")


def _filter(value: Any, _around: Configuration) -> bool:
    return value in ("RequestRedirect", "URLRewrite", "RequestMirror")


MATCHED = ("uri", "method", "headers.*", "queryParams.*")
VIRTUAL_SERVICE: Mapping[str, Seen] = {
    "hosts": _always,
    "gateways": _mesh,
    "exportTo": _always,
    "http.name": _always,
    "http.match.name": _always,
    "http.match.gateways": _mesh,
    **{f"http.match.{what}.{how}": _always for what in MATCHED for how in ("exact", "prefix")},
    "http.match.withoutHeaders.**": _always,
    "http.match.port": _port,
    "http.match.sourceLabels.*": _labels,
    "http.match.sourceNamespace": _namespace,
    "http.route.destination.**": _always,
    "http.route.weight": _whole,
    "http.timeout": _limit,
    "http.retries.attempts": _always,
    "http.retries.perTryTimeout": _limit,
    "http.retries.retryOn": _retry_on,
    "http.fault.abort.httpStatus": _always,
    "http.fault.*.percentage.value": _share,
    "http.fault.delay.fixedDelay": _delay,
    "http.rewrite.uri": _always,
    "http.redirect.**": _always,
    "http.directResponse.**": _always,
    "http.mirror.**": _always,
    "http.mirrors.destination.**": _always,
    "http.mirrors.percentage.value": _share,
    "http.mirrorPercentage.value": _share,
    "tcp.match.port": _port,
    "tcp.match.sourceLabels.*": _labels,
    "tcp.match.sourceNamespace": _namespace,
    "tcp.route.destination.**": _always,
    "tcp.route.weight": _whole,
}
AUTHORIZATION_POLICY: Mapping[str, Seen] = {
    "selector.**": _always,
    "action": _action,
    **{f"rules.from.source.{name}": _principal for name in ("principals", "notPrincipals")},
    **{f"rules.from.source.{name}": _namespace for name in ("namespaces", "notNamespaces")},
    **{f"rules.from.source.{name}": _account for name in ("serviceAccounts", "notServiceAccounts")},
    **{f"rules.to.operation.{name}": _always for name in ("methods", "notMethods", "paths", "notPaths")},
    **{f"rules.to.operation.{name}": _port for name in ("ports", "notPorts")},
}
HTTP_ROUTE: Mapping[str, Seen] = {
    "parentRefs.kind": _service,
    **{f"parentRefs.{name}": _always for name in ("name", "namespace", "group", "port")},
    "rules.name": _always,
    **{f"rules.matches.{of}.type": _literal for of in ("path", "headers", "queryParams")},
    "rules.matches.path.value": _always,
    "rules.matches.method": _always,
    "rules.matches.headers.*": _always,
    "rules.matches.queryParams.*": _always,
    **{f"rules.backendRefs.{name}": _always for name in ("name", "namespace", "group", "kind", "port")},
    "rules.backendRefs.weight": _whole,
    "rules.timeouts.*": _limit,
    "rules.filters.type": _filter,
    "rules.filters.requestRedirect.**": _always,
    "rules.filters.urlRewrite.path.**": _always,
    "rules.filters.requestMirror.backendRef.**": _always,
}

FIELDS: Mapping[tuple[str, str], Mapping[str, Seen]] = {
    # group and kind: the fields whose effect can be seen, and with which values; * is any key, ** whatever is below
    (ISTIO_NETWORKING, "VirtualService"): VIRTUAL_SERVICE,
    (ISTIO_NETWORKING, "DestinationRule"): {"host": _always, "subsets.name": _always, "subsets.labels.**": _always},
    (ISTIO_SECURITY, "AuthorizationPolicy"): AUTHORIZATION_POLICY,
    (ISTIO_SECURITY, "PeerAuthentication"): {
        "selector.**": _always,
        "mtls.mode": _always,
        "portLevelMtls.*.mode": _always,
    },
    (GATEWAY_API, "HTTPRoute"): HTTP_ROUTE,
    (NETWORKING, "NetworkPolicy"): {},
    ("policy.linkerd.io", "Server"): {},
    ("policy.linkerd.io", "ServerAuthorization"): {},
    ("policy.linkerd.io", "AuthorizationPolicy"): {},
    ("policy.linkerd.io", "MeshTLSAuthentication"): {},
    ("policy.linkerd.io", "NetworkAuthentication"): {},
    ("policy.linkerd.io", "HTTPRoute"): {},
    ("linkerd.io", "ServiceProfile"): {},
    ("cilium.io", "CiliumNetworkPolicy"): {},
}
"""Kinds without fields are taken out, too: a change proves that they act, and without one nothing is known."""


def not_taken_out(part: Part, around: Configuration) -> str:
    """Why a part is not taken out at all; empty if it is."""
    if part.kind not in FIELDS:
        return f"what a {part.resource.kind} does is not measured: that is access, routes, attempts and limits on time"
    if bound := gateways(part.resource):
        return f"it is bound to {', '.join(dict.fromkeys(bound))}, and calls through a gateway are not on trial"
    if part.resource.namespace == around.home and part.resource.spec.get("selector"):
        return f"workloads of {around.home}, which are not among these manifests, may have its labels"
    return ""


def unseen(part: Part, around: Configuration) -> Iterator[str]:
    """Why a part may act where no change is seen without it; nothing if it would have been seen."""
    fields = FIELDS[part.kind]
    if outside := hosts_outside(part.resource, around):
        yield f"it is about {', '.join(outside)}, which is not among these manifests"
    if not fields:
        yield f"what is seen of a {part.resource.kind} depends on the cluster, so only a change shows something"
        return
    keyed = isinstance(within(part.resource.manifest, part.path[:-1]), Mapping)
    prefix = tuple(map(str, part.path[1:] if keyed else part.path[1:-1]))
    for path, value in leaves(part.content, prefix):
        seen = next((one for pattern, one in fields.items() if _fits(path, pattern)), None)
        if seen is None:
            yield f"the effect of {'.'.join(path)} is not measured"
        elif not seen(value, around):
            yield f"the effect of {'.'.join(path)}: {value} is not measured"
    if is_about_hosts(part.resource):
        calls = [str(one) for one in concerned(part.resource, around) if one.declared.spoken.facts.grpc]
        yield from (f"calls of gRPC to {one} are made to succeed alone" for one in calls)
    else:
        yield from _uncalled(part, around)
    shapes = stimuli(beside(part.resource, around)).shapes
    if part.kind in ROUTES and part.path and not any(meets(shape, part) for shape in shapes):
        yield "no request is certain to meet it, and no other rule"
    if len(shapes) > MOST_SHAPES:
        yield f"it takes more than {MOST_SHAPES} kinds of requests to meet its rules"


def _uncalled(part: Part, around: Configuration) -> Iterator[str]:
    """The ports of the workloads that a resource selects to which no service leads: nobody calls them."""
    called = {(str(one), number) for port in around.plan.destinations for one, number in port.backends}
    chosen = selected(part.resource, around)
    missed = [
        f"{one} port {port.number}" for one in chosen for port in one.ports if (str(one), port.number) not in called
    ]
    yield from (f"no service leads to {one}, so nobody calls it" for one in missed)
    if chosen and not missed and not concerned(part.resource, around):
        yield f"no service leads to {', '.join(map(str, chosen))}, so nobody calls it"


def beside(resource: KubernetesObject, around: Configuration) -> list[KubernetesObject]:
    """A resource, and all others that concern the same ports."""
    ports = {str(one) for one in concerned(resource, around)} if is_known(resource) else set()
    return [
        one
        for one in around.plan.resources
        if one is resource or (is_known(one) and ports & {str(each) for each in concerned(one, around)})
    ]


def is_known(resource: KubernetesObject) -> bool:
    """Whether it is of a kind of which the fields are known."""
    return bool(FIELDS.get((resource.group, resource.kind)))


def leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of a manifest, each with its keys; lists have none."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(content, list):
        for one in content:
            yield from leaves(one, path)
    elif not isinstance(content, Mapping):
        yield path, content


def _fits(path: tuple[str, ...], pattern: str) -> bool:
    keys = pattern.split(".")
    if keys[-1] == "**":
        return len(path) >= len(keys) and _fits(path[: len(keys) - 1], ".".join(keys[:-1]))
    return len(path) == len(keys) and all(key in ("*", step) for step, key in zip(path, keys, strict=True))
