"""Rules of routes that lead to services which do not exist; pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import full_name

Rule = Mapping[str, Any]


def leads_nowhere(plan: Plan, route: KubernetesObject, rule: Rule) -> str:
    """The backends of a rule where all of them are names in namespaces of the manifests that no service has."""
    named = list(_backends(route, rule))
    services = {(one.namespace, one.name) for one in plan.services}
    hosts = {full_name(*one) for one in services} | {one.full_name for one in plan.destinations}
    if not named or any(_exists(one, services, hosts, plan) for one in named):
        return ""
    return ", ".join(dict.fromkeys(name for _, name in named))


def _backends(route: KubernetesObject, rule: Rule) -> Iterator[tuple[str, str]]:
    """The backends of a rule with a share of the requests, each with its namespace; a host has that of its route."""
    for one in rule.get("backendRefs") or ():
        if one.get("weight", 1) and one.get("kind", "Service") == "Service":
            yield str(one.get("namespace", route.namespace)), str(one.get("name"))
    for one in rule.get("route") or ():
        if one.get("weight", 100):
            yield route.namespace, str((one.get("destination") or {}).get("host"))


def _exists(backend: tuple[str, str], services: set[tuple[str, str]], hosts: set[str], plan: Plan) -> bool:
    """Whether a backend is a service, or cannot be known to be none."""
    namespace, name = backend
    if "." not in name:
        return backend in services or namespace not in plan.namespaces
    short, _, rest = name.partition(".")
    where: Sequence[str] = rest.split(".")
    return name in hosts or (where[0], short) in services or where[0] not in plan.namespaces
