"""What becomes of a user's manifests in a run; pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.external_hosts import external_hosts
from pytest_meshcheck.manifests.objects import KubernetesObject, Place
from pytest_meshcheck.manifests.services import (
    FROM_OUTSIDE,
    Destination,
    as_applied,
    destinations,
    ports_beside_tcp,
    serving,
)
from pytest_meshcheck.manifests.stand_ins import DEFAULT_ACCOUNT, StandIn, is_workload, stand_in
from pytest_meshcheck.platforms.base import Manifest

OF_EVERY_MESH = ("gateway.networking.k8s.io",)
"""Groups whose kinds configure any mesh that implements them."""

NETWORK_POLICY = ("networking.k8s.io", "NetworkPolicy")
CLUSTER_WIDE = ("GatewayClass", "CiliumClusterwideNetworkPolicy", "CiliumClusterwideEnvoyConfig", "ExternalWorkload")
"""Kinds of meshes and of the Gateway API outside of namespaces."""

IN_EVERY_CLUSTER = ("default", "kube-system", "kube-public", "kube-node-lease")

WHY_LEFT_OUT = {
    # kind: why it is left out
    "ConfigMap": "a stand-in has no configuration",
    "Secret": "a stand-in has no secrets",
    "PersistentVolumeClaim": "a stand-in has no volumes",
    "HorizontalPodAutoscaler": "a stand-in does not scale",
    "PodDisruptionBudget": "a stand-in is not disrupted",
    "Role": "a stand-in has no permissions",
    "RoleBinding": "a stand-in has no permissions",
    "ClusterRole": "a stand-in has no permissions",
    "ClusterRoleBinding": "a stand-in has no permissions",
    "Ingress": "calls from outside of the cluster are not on trial",
    "CustomResourceDefinition": "the mesh brings its own definitions",
}
OTHER = "neither a workload or a service, nor a kind of {mesh}"
WIDE = "acts on the whole cluster, not on the namespaces of these manifests"

SET_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences", "generation")


@dataclass(frozen=True)
class Configured:
    """The mesh as far as a plan needs it.

    Attributes:
        name: Its name, for messages.
        groups: The groups of its own kinds.
        home: The namespace of its control plane; empty without one.
        ours: Whether the run installs it.
    """

    name: str
    groups: Collection[str]
    home: str = ""
    ours: bool = True


@dataclass(frozen=True)
class LeftOut:
    """An object that is not used, with the reason."""

    object: KubernetesObject
    reason: str

    def __str__(self) -> str:
        return f"{self.object} ({self.object.place}): {self.reason}"


@dataclass(frozen=True, eq=False)
class Plan:
    """What is made of the manifests.

    Attributes:
        namespaces: The namespaces to create, with the object that declares it; None where nothing declares it.
        service_accounts: The declared service accounts.
        services: The services, as they are applied.
        stand_ins: The stand-ins.
        external_hosts: The stand-ins of hosts outside of the mesh.
        destinations: The ports of services and external hosts that lead to stand-ins.
        resources: What configures the mesh, applied to the letter.
        left_out: What is not used.
        notes: What differs from the manifests otherwise.
        fixed: The resources that are never taken out, as they are about services that are not called.
    """

    namespaces: Mapping[str, KubernetesObject | None]
    service_accounts: tuple[KubernetesObject, ...]
    services: tuple[KubernetesObject, ...]
    stand_ins: tuple[StandIn, ...]
    external_hosts: tuple[StandIn, ...]
    destinations: tuple[Destination, ...]
    resources: tuple[KubernetesObject, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    fixed: tuple[KubernetesObject, ...] = ()

    @property
    def named(self) -> dict[str, Place]:
        """The namespaces that the manifests name, each with the first place that does."""
        objects = (*self.services, *self.service_accounts, *self.resources)
        places = [(one.namespace, one.place) for one in self.stand_ins]
        places += [(one.namespace, one.place) for one in objects]
        used = dict(sorted(places, key=lambda one: one[1], reverse=True))
        return {name: one.place if one else used[name] for name, one in self.namespaces.items() if name}


def plan(objects: Sequence[KubernetesObject], mesh: Configured) -> Plan:
    """The plan for a mesh.

    Raises:
        ManifestError: An object is in a namespace that cannot be used, is malformed, or there is nothing to call.
    """
    found = _sorted(objects, mesh)
    namespaces = _namespaces(objects, found, mesh)
    stand_ins = [stand_in(one) for one in found["workload"]]
    external = external_hosts(found["resource"])
    _refuse_same_name(stand_ins)
    called = [one for service in found["service"] for one in destinations(service, stand_ins)]
    serve = {id(one): serving(one, called) for one in stand_ins}
    called = [
        replace(one, backends=tuple((serve[id(backend)], number) for backend, number in one.backends))
        for one in called
        if one.backends
    ]
    if not called:
        raise ManifestError(
            f"{objects[0].place.file}: no service among these manifests leads to a workload among them, so there is "
            "nothing to call; give the manifests of both"
        )
    return Plan(
        namespaces,
        tuple(found["account"]),
        tuple(found["service"]),
        tuple(serve.values()),
        external.stand_ins,
        (*called, *external.destinations),
        tuple(found["resource"]),
        tuple(LeftOut(one, _why(one, mesh)) for one in found["other"]),
        (*_notes(found["service"], stand_ins, found["workload"]), *external.notes),
    )


def cleaned(one: KubernetesObject) -> Manifest:
    """An object without what an API server has added to it."""
    manifest = as_applied(one) if one.kind == "Service" else one.manifest
    metadata = {name: value for name, value in one.metadata.items() if name not in SET_BY_SERVER}
    return {name: value for name, value in manifest.items() if name != "status"} | {"metadata": metadata}


def _sorted(objects: Sequence[KubernetesObject], mesh: Configured) -> dict[str, list[KubernetesObject]]:
    found: dict[str, list[KubernetesObject]] = {
        part: [] for part in ("workload", "service", "account", "namespace", "resource", "other")
    }
    for one in objects:
        found[_part(one, mesh)].append(one)
    return found


def _part(one: KubernetesObject, mesh: Configured) -> str:
    if is_workload(one):
        return "workload"
    if (one.group, one.kind) in _CORE:
        return _CORE[one.group, one.kind]
    configures = one.group in (*mesh.groups, *OF_EVERY_MESH) or (one.group, one.kind) == NETWORK_POLICY
    return "resource" if configures and one.kind not in CLUSTER_WIDE else "other"


_CORE = {("", "Service"): "service", ("", "ServiceAccount"): "account", ("", "Namespace"): "namespace"}


def _why(one: KubernetesObject, mesh: Configured) -> str:
    if one.kind in CLUSTER_WIDE:
        return WIDE
    return WHY_LEFT_OUT.get(one.kind) or OTHER.format(mesh=mesh.name)


def _namespaces(
    objects: Sequence[KubernetesObject], found: Mapping[str, list[KubernetesObject]], mesh: Configured
) -> dict[str, KubernetesObject | None]:
    """The namespaces of everything that is used, without that of the control plane."""
    declared = {one.name: one for one in found["namespace"]}
    used = [one for part in ("workload", "service", "account", "resource") for one in found[part]]
    for one in (*used, *found["namespace"]):
        _refuse_namespace(one, mesh)
    names = dict.fromkeys(one.namespace for one in objects if one in used)
    return {name: declared.get(name) for name in (*declared, *names) if not name or name != mesh.home}


def _refuse_namespace(one: KubernetesObject, mesh: Configured) -> None:
    where = one.name if one.kind == "Namespace" else one.namespace
    if where in IN_EVERY_CLUSTER:
        raise one.place.error(
            f"{one} is about the namespace {where}, which is in every cluster; leave metadata.namespace out, and the "
            "run puts it in a namespace of its own"
        )
    if where and where == mesh.home and (not mesh.ours or not _is_policy_of(one, mesh)):
        why = "was installed by others" if not mesh.ours else "takes policies there, and nothing else"
        raise one.place.error(
            f"{one} is about {where}, the namespace of the control plane of {mesh.name}, which {why}; take it out of "
            "these manifests, or run on a mesh that the run installs"
        )


def _is_policy_of(one: KubernetesObject, mesh: Configured) -> bool:
    return one.group in mesh.groups


def _refuse_same_name(stand_ins: Sequence[StandIn]) -> None:
    """Refuse what would be one deployment: a second replica has the number as suffix."""
    taken: dict[tuple[str, str], StandIn] = {}
    for one in stand_ins:
        for name in (one.name, *(f"{one.name}-{number}" for number in range(2, one.replicas + 1))):
            if other := taken.get((one.namespace, name)):
                raise one.place.error(
                    f"the stand-ins of {one.kind} {one} and of {other.kind} {other} ({other.place}) would both be "
                    f"called {name}; give one of them another name"
                )
            taken[one.namespace, name] = one


def _notes(
    services: Sequence[KubernetesObject], stand_ins: Sequence[StandIn], workloads: Sequence[KubernetesObject]
) -> Iterator[str]:
    for service in services:
        if service.spec.get("type") in FROM_OUTSIDE:
            yield f"{service} ({service.place}) is of type ClusterIP here, and not {service.spec['type']}"
        yield from _uncalled(service, destinations(service, stand_ins))
    for one, workload in zip(stand_ins, workloads, strict=True):
        if (wanted := workload.spec.get("replicas")) and one.replicas < wanted:
            yield f"{one.kind} {one} ({one.place}) has {one.replicas} replicas here, and not {wanted}"


def _uncalled(service: KubernetesObject, ports: Sequence[Destination]) -> Iterator[str]:
    """The ports of a service that are applied, and not called."""
    where = f"{service} ({service.place})"
    if not any(one.backends for one in ports):
        yield f"{where} leads to no workload of these manifests, and is not called"
        return
    yield from (
        f"port {one.port} of {where} leads to no port of a workload, and is not called"
        for one in ports
        if not one.backends
    )
    yield from (
        f"port {number} of {where} is {protocol}, which no probe speaks, and is not called"
        for number, protocol in ports_beside_tcp(service)
    )


def accounts(made: Plan) -> dict[tuple[str, str], KubernetesObject | None]:
    """The service accounts of all stand-ins, by namespace and name; None where nothing declares one."""
    declared = {(one.namespace, one.name): one for one in made.service_accounts}
    used = {(one.namespace, one.service_account): None for one in made.stand_ins}
    return {key: one for key, one in (used | declared).items() if key[1] != DEFAULT_ACCOUNT}
