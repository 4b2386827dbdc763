"""Names in a user's own tests: stand-ins, and hosts, resolved as in the pod."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pytest_meshcheck.manifests.services import CLUSTER_DOMAIN, Destination, full_name
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.testbed.trial.stand_ins import StandIns

ITSELF = "localhost"
"""The pod itself, by a name that every pod knows."""

Service = tuple[str, str]
"""The namespace, as the manifests write it, and the name of a service."""


class UnknownName(LookupError):
    """There is no stand-in or service of this name; with the nearest name."""

    def __init__(self, what: str, name: str, valid: Sequence[str]) -> None:
        near = get_close_matches(name, valid, 1)
        instead = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(valid)}"
        super().__init__(f"no {what} {name!r} in these manifests; {instead}")


@dataclass(frozen=True)
class Host:
    """What a host name leads to.

    Attributes:
        dialled: An address, or a name that only the pod's own resolver may know.
        service: The service of the manifests that it names; None if it names none.
    """

    dialled: str
    service: Service | None = None


def workloads_named(trial: StandIns, name: str) -> tuple[Workload, ...]:
    """The replicas of a stand-in, e.g. ``shop/orders``, or the only one of ``outsider`` and ``stranger``.

    Raises:
        UnknownName: There is none of this name.
    """
    others = {one.name: [one.workload] for one in trial.outsiders}
    found = {**others, **trial.replicas}
    if name not in found:
        raise UnknownName("workload", name, sorted(found))
    return tuple(found[name])


def host_of(trial: StandIns, caller: Workload, host: str) -> Host:
    """What a host name leads to in the pod of a caller: the address of its service, or of a pod of a headless one.

    Raises:
        UnknownName: It can only be a service of these namespaces, and there is none of this name.
    """
    name = host.lower().removesuffix(".")
    names = dict(_names(trial, caller.namespace))
    if (service := names.get(name)) is not None:
        return Host(trial.addresses[service] or _pod_of(trial, service) or _in_full(trial, service), service)
    if _is_of_these(trial, name):
        raise UnknownName("service", host, list(names))
    return Host(host)


def destination_of(trial: StandIns, service: Service | None, port: int) -> Destination | None:
    """The port of a service that leads to stand-ins; None if it is no such port."""
    wanted = (*service, port) if service else None
    return next((one for one in trial.plan.destinations if (one.namespace, one.service, one.port) == wanted), None)


def _names(trial: StandIns, namespace: str) -> Iterator[tuple[str, Service]]:
    """Every name by which a pod in this namespace finds a service."""
    external = {("", one.name) for one in trial.plan.external_hosts}
    for service in trial.addresses:
        if service in external:
            yield service[1], service
            continue
        where, name = trial.place_of(service[0]), service[1]
        if where == namespace:
            yield name, service
        yield from ((f"{name}.{where}{end}", service) for end in ("", ".svc", f".{CLUSTER_DOMAIN}"))


def _in_full(trial: StandIns, service: Service) -> str:
    return full_name(trial.place_of(service[0]), service[1])


def _pod_of(trial: StandIns, service: Service) -> str:
    """The address of a pod behind a service; empty if none of the stand-ins is."""
    behind = [one for one in trial.plan.destinations if (one.namespace, one.service) == service]
    return trial.pod_address(trial.backends(behind[0])[0][2]) if behind else ""


def _is_of_these(trial: StandIns, name: str) -> bool:
    """Whether a name can only be that of a service in a namespace of the manifests."""
    if name == ITSELF or is_address(name):
        return False
    _, dot, where = name.removesuffix(f".{CLUSTER_DOMAIN}").removesuffix(".svc").partition(".")
    return not dot or where in {trial.place_of(one) for one in trial.plan.namespaces}


def is_address(host: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
