"""Why a resource of Linkerd's does nothing, as far as the manifests tell; pure.

https://linkerd.io/2/reference/authorization-policy/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_meshcheck.manifests.mutation.parts import Part
from pytest_meshcheck.manifests.mutation.targets import Configuration
from pytest_meshcheck.manifests.objects import KubernetesObject, texts
from pytest_meshcheck.manifests.stand_ins import StandIn

POLICY, PROFILE = "policy.linkerd.io", "linkerd.io"
SERVER = (POLICY, "Server")
AUTHENTICATIONS = ((POLICY, "MeshTLSAuthentication"), (POLICY, "NetworkAuthentication"))
AUTHORIZATION = (POLICY, "AuthorizationPolicy")
TARGETS = ("Server", "HTTPRoute", "GRPCRoute")
"""Kinds that an AuthorizationPolicy may be about, beside its namespace."""


def server_unmatched(part: Part, around: Configuration) -> str:
    """No workload has the labels of a Server, or none of them its port."""
    selector = part.resource.spec.get("podSelector")
    if part.kind != SERVER or not isinstance(selector, Mapping) or selector.get("matchExpressions"):
        return ""
    labels, namespace = texts(selector.get("matchLabels")), part.resource.namespace
    chosen = [
        one for one in around.plan.stand_ins if one.namespace == namespace and labels.items() <= one.labels.items()
    ]
    if not chosen:
        named = ", ".join(f"{name}: {value}" for name, value in labels.items()) or "no label"
        return f"no workload of these manifests in {namespace or 'its namespace'} has the labels {named}"
    port = part.resource.spec.get("port")
    return "" if any(_serves(one, port) for one in chosen) else f"no workload that it selects has the port {port}"


def target_unknown(part: Part, around: Configuration) -> str:
    """An AuthorizationPolicy is about a Server or a route that is not among the manifests."""
    target = part.resource.spec.get("targetRef") or {}
    if part.kind != AUTHORIZATION or target.get("kind") not in TARGETS:
        return ""
    named = str(target.get("name"))
    if any(one.name == named for one in _of(around, part.resource.namespace, target["kind"])):
        return ""
    return f"there is no {target['kind']} {named} among these manifests in its namespace"


def authentication_unused(part: Part, around: Configuration) -> str:
    """No AuthorizationPolicy requires an authentication."""
    if part.kind not in AUTHENTICATIONS:
        return ""
    about = (part.resource.kind, part.resource.namespace, part.resource.name)
    used = {each for one in around.plan.resources for each in _required(one)}
    return "" if about in used else "no AuthorizationPolicy of these manifests requires it"


def profile_unknown(part: Part, around: Configuration) -> str:
    """A ServiceProfile has the name of no service."""
    if part.kind != (PROFILE, "ServiceProfile") or around.has_service(part.resource.name):
        return ""
    return f"no service of these manifests has the host {part.resource.name}"


OF_LINKERD: Sequence[tuple[Callable[[Part, Configuration], str], bool]] = (
    # finder, whether its reason is enough where the resource has fields that are not measured
    (server_unmatched, True),
    (target_unknown, True),
    (authentication_unused, True),
    (profile_unknown, True),
)


def _serves(one: StandIn, port: object) -> bool:
    return any(port in (each.number, each.name) for each in one.ports)


def _of(around: Configuration, namespace: str, kind: str) -> Iterator[KubernetesObject]:
    yield from (one for one in around.plan.resources if (one.namespace, one.kind) == (namespace, kind))


def _required(one: KubernetesObject) -> Iterator[tuple[str, str, str]]:
    references: list[Mapping[str, Any]] = list(one.spec.get("requiredAuthenticationRefs") or ())
    for each in references:
        yield str(each.get("kind")), str(each.get("namespace") or one.namespace), str(each.get("name"))
