"""A plan in words, for the header of a run."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pytest_meshcheck.manifests.extent import sampling
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.manifests.stand_ins import StandIn

INDENT = "  "


def described(made: Plan, mesh: str) -> Iterator[str]:
    """The lines that say what a run makes of the manifests, before anything is made."""
    yield (
        f"manifests for {mesh}: {len(made.stand_ins)} stand-ins, {len(made.services)} services, "
        f"{len(made.resources)} mesh resources, {len(made.left_out)} left out"
    )
    for name, declared in made.namespaces.items():
        yield f"{INDENT}namespace {name or 'of its own, for objects that name none'}: {_enrolled(declared)}"
    yield from (f"{INDENT}stand-in {_stand_in(one)}" for one in made.stand_ins)
    yield from (f"{INDENT}stand-in outside of the mesh {_stand_in(one)}" for one in made.external_hosts)
    yield from (f"{INDENT}service {_destination(one)}" for one in made.destinations)
    if made.resources:
        yield f"{INDENT}applied to the letter: {_counted(made.resources)}"
    yield from (f"{INDENT}left out: {one}" for one in made.left_out)
    yield from (f"{INDENT}note: {one}" for one in (*made.notes, *sampling(made)))


def _enrolled(declared: KubernetesObject | None) -> str:
    return f"with its labels ({declared.place})" if declared else "not among the manifests, so part of the mesh"


def _stand_in(one: StandIn) -> str:
    ports = ", ".join(f"{port.number} {port.declared.spoken}" for port in one.ports) or "none"
    replicas = f", {one.replicas} replicas" if one.replicas > 1 else ""
    return f"{one} for {one.kind} ({one.place}), ports {ports}{replicas}"


def _destination(one: Destination) -> str:
    by = f"by {one.declared.by}" if one.declared.by else "protocol undeclared"
    behind = ", ".join(backend.name for backend, _ in one.backends)
    return f"{one} {one.declared.spoken} ({by}) -> {behind}"


def _counted(resources: Iterable[KubernetesObject]) -> str:
    kinds = Counter(one.kind for one in resources)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
