"""What a mesh resource is about: hosts of services, or workloads; and the ports that it can concern; pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pytest_meshcheck.manifests.mutation.parts import GATEWAY_API, ISTIO_NETWORKING, ISTIO_SECURITY, NETWORKING
from pytest_meshcheck.manifests.objects import KubernetesObject, texts
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import CLUSTER_DOMAIN, Destination, full_name
from pytest_meshcheck.manifests.stand_ins import StandIn

MESH_GATEWAY = "mesh"
"""How a VirtualService names the sidecars, beside gateways."""


@dataclass(frozen=True)
class Configuration:
    """The manifests that a resource is compared with.

    Attributes:
        plan: What is made of them.
        home: The namespace of the control plane, whose resources are about all namespaces; None without one.
    """

    plan: Plan
    home: str | None

    def is_known(self, namespace: str) -> bool:
        """Whether the workloads and services of a namespace are among the manifests."""
        return namespace in self.plan.namespaces

    def has_service(self, host: str) -> bool:
        """Whether a full host, which may begin with a wildcard, is that of a service."""
        names = [full_name(one.namespace, one.name) for one in self.plan.services]
        names += [one.full_name for one in self.plan.destinations if one.external_host]
        return any(fnmatchcase(one, host) for one in names)


def namespace_of(host: str, configuration: Configuration) -> str | None:
    """The namespace that a host names, also as ``NAME.NAMESPACE`` where the manifests have it; None for other hosts."""
    name, dot, rest = host.partition(".")
    if dot and name and configuration.is_known(rest):
        return rest
    parts = host.removesuffix(f".{CLUSTER_DOMAIN}").rsplit(".", 1)
    return parts[1] if host.endswith(f".{CLUSTER_DOMAIN}") and len(parts) == 2 else None


def hosts_outside(resource: KubernetesObject, configuration: Configuration) -> list[str]:
    """The hosts of a resource that these manifests cannot know: outside of the cluster, or of other namespaces."""
    return [
        one
        for one in (hosts(resource) if is_about_hosts(resource) else ())
        if not configuration.has_service(one)
        and ((named := namespace_of(one, configuration)) is None or not configuration.is_known(named))
    ]


def hosts(resource: KubernetesObject) -> list[str]:
    """The full hosts of a resource about hosts; names without dots are those of services beside it."""
    return [_full(one, resource.namespace) for one in _written_hosts(resource)]


def is_about_hosts(resource: KubernetesObject) -> bool:
    """Whether a resource is about hosts, and not about workloads."""
    return (resource.group, resource.kind) in WRITTEN_HOSTS


def selector(resource: KubernetesObject) -> dict[str, str]:
    """The labels of the workloads that it is about; empty for all of its namespace."""
    found = resource.spec.get("podSelector" if resource.group == NETWORKING else "selector") or {}
    return texts(found.get("matchLabels"))


def selected(resource: KubernetesObject, configuration: Configuration) -> list[StandIn]:
    """The stand-ins that a resource about workloads selects."""
    labels, everywhere = selector(resource).items(), resource.namespace == configuration.home
    return [
        one
        for one in configuration.plan.stand_ins
        if (everywhere or one.namespace == resource.namespace) and labels <= one.labels.items()
    ]


def concerned(resource: KubernetesObject, configuration: Configuration) -> list[Destination]:
    """The ports whose callers a resource can make a difference to."""
    ports = configuration.plan.destinations
    if is_about_hosts(resource):
        found = hosts(resource)
        return [one for one in ports if any(fnmatchcase(one.full_name, host) for host in found)]
    chosen = {id(one) for one in selected(resource, configuration)}
    egress = resource.group == NETWORKING and "egress" in resource.spec
    return [one for one in ports if egress or any(id(backend) in chosen for backend, _ in one.backends)]


def rivals(resource: KubernetesObject, configuration: Configuration) -> list[KubernetesObject]:
    """Other resources of the same kind about one of its hosts, or about the very same workloads."""
    return [
        one
        for one in configuration.plan.resources
        if one is not resource
        and (one.group, one.kind) == (resource.group, resource.kind)
        and (
            bool(set(hosts(one)) & set(hosts(resource)))
            if is_about_hosts(resource)
            else (one.namespace, selector(one)) == (resource.namespace, selector(resource))
        )
    ]


def gateways(resource: KubernetesObject) -> list[str]:
    """The gateways that a route is bound to; calls that come through these are not on trial."""
    if (resource.group, resource.kind) == (ISTIO_NETWORKING, "VirtualService"):
        named = [*resource.spec.get("gateways", ())]
        named += [
            one for rule in rules_of(resource, "http") for each in matches(rule) for one in each.get("gateways", ())
        ]
        return [str(one) for one in named if one != MESH_GATEWAY]
    return [str(one.get("name")) for one in _references(resource) if one.get("kind", "Gateway") == "Gateway"]


def rules_of(resource: KubernetesObject, name: str) -> Sequence[Mapping[str, Any]]:
    """A list of its specification; empty without one."""
    return [one for one in resource.spec.get(name) or () if isinstance(one, Mapping)]


def matches(rule: Mapping[str, Any], name: str = "match") -> Sequence[Mapping[str, Any]]:
    """The matches of a rule; empty where it matches everything."""
    return [one for one in rule.get(name) or () if isinstance(one, Mapping)]


def _references(resource: KubernetesObject) -> list[Mapping[str, Any]]:
    spec = resource.spec
    found = [*(spec.get("parentRefs") or ()), *(spec.get("targetRefs") or ()), spec.get("targetRef")]
    return [one for one in found if isinstance(one, Mapping)]


def _parents(resource: KubernetesObject) -> list[str]:
    return [
        full_name(one.get("namespace", resource.namespace), one["name"])
        for one in _references(resource)
        if one.get("kind") == "Service"
    ]


WRITTEN_HOSTS: Mapping[tuple[str, str], Callable[[KubernetesObject], Iterable[str]]] = {
    # group and kind: its hosts, as they are written
    (GATEWAY_API, "HTTPRoute"): _parents,
    (ISTIO_NETWORKING, "DestinationRule"): lambda one: [str(one.spec.get("host", ""))],
    (ISTIO_NETWORKING, "VirtualService"): lambda one: map(str, one.spec.get("hosts") or ()),
}
OF_WORKLOADS = (
    (ISTIO_SECURITY, "AuthorizationPolicy"),
    (ISTIO_SECURITY, "PeerAuthentication"),
    (NETWORKING, "NetworkPolicy"),
)


def _written_hosts(resource: KubernetesObject) -> Iterable[str]:
    return WRITTEN_HOSTS[resource.group, resource.kind](resource)


def _full(host: str, namespace: str) -> str:
    return host if "." in host or "*" in host else full_name(namespace, host)
