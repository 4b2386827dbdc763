"""Where a user's manifests configure something about a port, for messages that lead to the line; pure."""

import enum
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pytest_meshcheck.checks.own.limit_hazards import Retried
from pytest_meshcheck.manifests.dead_ends import leads_nowhere
from pytest_meshcheck.manifests.durations import seconds
from pytest_meshcheck.manifests.objects import KubernetesObject, texts
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import Destination, full_name

OF_NAMESPACE = ("PeerAuthentication", "AuthorizationPolicy")
"""Kinds that are about all workloads of a namespace where they select none."""


class Setting(enum.StrEnum):
    """What is configured."""

    LIMIT = "limit"
    RETRY = "retry"
    FAULT = "fault"
    MIRROR = "mirror"
    HOST = "host"
    TLS = "tls"


KEYS: Mapping[Setting, tuple[str, ...]] = {
    # what is configured: the ends of the paths that do so, in Istio, the Gateway API and Linkerd
    Setting.LIMIT: ("timeout", "perTryTimeout", "timeouts", "timeout.linkerd.io/*"),
    Setting.RETRY: ("retries", "retry", "isRetryable", "retry.linkerd.io/*"),
    Setting.FAULT: ("fault",),
    Setting.MIRROR: ("mirror", "mirrors", "requestMirror"),
    Setting.HOST: ("operation.hosts", "operation.notHosts", "fault"),
    Setting.TLS: ("mtls", "portLevelMtls"),
}
OF_ONE_ATTEMPT = ("perTryTimeout", "backendRequest")
"""Keys of the limit of one attempt."""

INBOUND_POLICY = "config.linkerd.io/default-inbound-policy"
"""An annotation of pods: whom they admit without any other policy; https://linkerd.io/2/features/server-policy/"""

FAILURES: Mapping[str, frozenset[str]] = {
    # condition of a retry: the failures that meet it, among those that are tried; resets of a service are no condition
    # of their own, as the sidecar beside it makes a 503 of them
    "5xx": frozenset({"503", "reset"}),
    "gateway-error": frozenset({"503"}),
    "503": frozenset({"503"}),
    "unavailable": frozenset({"unavailable"}),
}


def settings(plan: Plan, destination: Destination, what: Setting, home: str = "") -> tuple[str, ...]:
    """The places that configure it, e.g. ``VirtualService shop/orders (k8s.yaml:12): spec.http[0].fault``.

    Args:
        plan: The manifests.
        destination: The port that it is about.
        what: What is configured.
        home: The namespace of the control plane, whose policies are about all namespaces.
    """
    in_resources = [
        f"{one} ({one.place}): {path}"
        for one in concerning(plan, destination, home)
        for path, _ in paths_in(one.manifest, KEYS[what])
    ]
    in_workloads = [
        f"{one.kind} {one} ({one.place}): annotation {INBOUND_POLICY}"
        for one in dict.fromkeys(backend for backend, _ in destination.backends)
        if what is Setting.TLS and INBOUND_POLICY in one.annotations
    ]
    return (*in_resources, *in_workloads)


def dead_ends(plan: Plan, destination: Destination) -> tuple[str, ...]:
    """The rules of routes to a port that lead to services which do not exist, each with its place and their names."""
    return tuple(
        f"{one} ({one.place}): spec.{part}[{at}] leads to {named}, and there is no such service"
        for one in concerning(plan, destination)
        for part, _, _ in ROUTES.get(one.kind, ())
        for at, rule in enumerate(one.spec.get(part) or ())
        if (named := leads_nowhere(plan, one, rule))
    )


def limit_of_one_attempt(plan: Plan, destination: Destination) -> float | None:
    """The shortest limit of a single attempt that the manifests state, in seconds; None without one."""
    stated = [
        seconds(value) for one in concerning(plan, destination) for _, value in paths_in(one.manifest, OF_ONE_ATTEMPT)
    ]
    return min((one for one in stated if one), default=None)


def written_retries(plan: Plan, destination: Destination) -> tuple[Retried, ...]:
    """The retry policies of routes to a port that are about every request to it."""
    in_rules = [
        Retried(f"{one} ({one.place}): spec.{part}[{at}].{key}", failures, "fault" in rule)
        for one in concerning(plan, destination)
        if _is_for_callers_in_mesh(one, destination)
        for part, matched, key in ROUTES.get(one.kind, ())
        for at, rule in enumerate(one.spec.get(part) or ())
        if not rule.get(matched) and (failures := _failures(rule.get(key) or {}))
    ]
    in_annotations = [
        Retried(f"{one} ({one.place}): metadata.annotations.{annotation}", failures)
        for one in concerning(plan, destination)
        for annotation in RETRY_ANNOTATIONS
        if one.kind == "Service" and (failures := _failures({"retryOn": one.annotations.get(annotation)}))
    ]
    return (*in_rules, *in_annotations)


RETRY_ANNOTATIONS = ("retry.linkerd.io/http", "retry.linkerd.io/grpc")
"""Of a service, whose requests are all retried then; https://linkerd.io/2/reference/retries/"""


ROUTES: Mapping[str, Sequence[tuple[str, str, str]]] = {
    # kind of a route: its list of rules; the key of what a rule matches, and of its retries
    "VirtualService": [("http", "match", "retries")],
    "HTTPRoute": [("rules", "matches", "retry")],
}


def _failures(retries: Mapping[str, Any]) -> frozenset[str]:
    """The failures that a retry policy names; none where it never tries again."""
    if retries.get("attempts") == 0:
        return frozenset()
    named = [*str(retries.get("retryOn") or "").split(","), *map(str, retries.get("codes") or ())]
    return frozenset().union(*(FAILURES.get(one.strip(), frozenset()) for one in named))


def _is_for_callers_in_mesh(one: KubernetesObject, destination: Destination) -> bool:
    """Whether a route is about callers of the port inside of the mesh, and not only about those through a gateway."""
    if one.kind == "VirtualService":
        heads = {str(host) for host in one.spec.get("hosts") or ()}
        return "mesh" in (one.spec.get("gateways") or ["mesh"]) and bool(heads & _names(destination, one.namespace))
    parents = [each for each in one.spec.get("parentRefs") or () if each.get("kind") == "Service"]
    return any(each.get("name") == destination.service for each in parents)


def concerning(plan: Plan, destination: Destination, home: str = "") -> Iterator[KubernetesObject]:
    """The resources that name the service or select the workloads behind it, and the service itself."""
    for one in plan.resources:
        names = _names(destination, one.namespace)
        if any(text in names for text in _texts(one.spec)) or _selects(one, destination, home):
            yield one
    yield from (
        one for one in plan.services if (one.namespace, one.name) == (destination.namespace, destination.service)
    )


def _names(destination: Destination, seen_from: str) -> set[str]:
    """The hosts under which resources of a namespace name a service."""
    if destination.external_host:
        return {destination.external_host}
    short = f"{destination.service}.{destination.namespace}"
    full = full_name(destination.namespace, destination.service)
    found = {short, f"{short}.svc", full} if destination.namespace else set()
    return found | ({destination.service} if seen_from == destination.namespace else set())


def _selects(one: KubernetesObject, destination: Destination, home: str) -> bool:
    chosen = one.spec.get("selector") or one.spec.get("podSelector") or {}
    labels = texts(chosen.get("matchLabels", chosen)).items()
    if not labels and one.kind not in OF_NAMESPACE:
        return False
    around = {destination.namespace, home} if home else {destination.namespace}
    return one.namespace in around and any(labels <= backend.labels.items() for backend, _ in destination.backends)


def _texts(node: object) -> Iterator[str]:
    """All texts in a part of a manifest."""
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _texts(each)
    elif isinstance(node, str):
        yield node


def paths_in(node: object, keys: Sequence[str], path: str = "") -> Iterator[tuple[str, object]]:
    """The paths of these keys in a manifest, each with its value."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            if value and any(fnmatchcase(here, f"*.{one}") for one in keys):
                yield here, value
            else:
                yield from paths_in(value, keys, here)
    elif isinstance(node, list):
        for at, each in enumerate(node):
            yield from paths_in(each, keys, f"{path}[{at}]")
