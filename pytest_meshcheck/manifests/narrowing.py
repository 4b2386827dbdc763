"""A trial of a part of some manifests: fewer callers and ports, under the same configuration; pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.expectations.expected import Expected
from pytest_meshcheck.manifests.mutation.targets import Configuration, concerned, is_about_hosts, selected
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.manifests.stand_ins import StandIn

OPTION = "--mesh-manifests-only"


def narrowed(made: Plan, patterns: Sequence[str], home: str = "") -> Plan:
    """The plan with the workloads and services whose names match a pattern, and the workloads behind the services.

    Everything else is applied as before, so that the configuration is the same. Resources that are about what is left
    out stay where they are: that they do something could not be seen.

    Args:
        made: The whole plan.
        patterns: Names such as ``shop/orders``, with the wildcards of shells.
        home: The namespace of the control plane, whose policies are about all namespaces; empty without one.

    Raises:
        ManifestError: A pattern matches nothing, or no service is left.
    """
    if not patterns:
        return made
    _refuse_unknown(made, patterns)
    ports = tuple(one for one in made.destinations if _matches(_service(one), patterns))
    behind = {id(stand_in) for one in ports for stand_in, _ in one.backends}
    if not ports:
        raise ManifestError(f"no service matches {OPTION}={','.join(patterns)}, so there is nothing to call")
    stand_ins = _kept(made.stand_ins, behind, patterns)
    return replace(
        made,
        stand_ins=stand_ins,
        external_hosts=_kept(made.external_hosts, behind, patterns),
        destinations=ports,
        fixed=tuple(_fixed(Configuration(made, home or None), ports, stand_ins)),
        notes=(*made.notes, _said(made, ports, patterns)),
    )


def expected_of_some(expected: Expected, made: Plan) -> Expected:
    """The expectations of the ports and workloads of a plan."""
    ports, workloads = set(map(str, made.destinations)), set(map(str, made.stand_ins))
    return replace(
        expected,
        access={port: one for port, one in expected.access.items() if port in ports},
        once=tuple(one for one in expected.once if one.destination in ports),
        limits=tuple(one for one in expected.limits if one.destination in ports),
        identities=tuple(one for one in expected.identities if one.caller in workloads),
        calls=_calls_of_some(expected.calls, ports, workloads),
    )


def _calls_of_some(
    calls: Mapping[str, frozenset[str]], ports: Collection[str], workloads: Collection[str]
) -> dict[str, frozenset[str]]:
    return {caller: called.intersection(ports) for caller, called in calls.items() if caller in workloads}


def _kept(stand_ins: Sequence[StandIn], behind: Collection[int], patterns: Sequence[str]) -> tuple[StandIn, ...]:
    return tuple(one for one in stand_ins if id(one) in behind or _matches(str(one), patterns))


def _fixed(
    around: Configuration, ports: Collection[Destination], stand_ins: Collection[StandIn]
) -> Iterator[KubernetesObject]:
    """The resources that concern a port or select a workload which is left out."""
    for one in around.plan.resources:
        chosen = [] if is_about_hosts(one) else selected(one, around)
        if any(port not in ports for port in concerned(one, around)) or any(each not in stand_ins for each in chosen):
            yield one


def _refuse_unknown(made: Plan, patterns: Sequence[str]) -> None:
    names = sorted({*map(_service, made.destinations), *map(str, made.stand_ins)})
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = get_close_matches(pattern, names, 1)
            instead = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(names)}"
            raise ManifestError(f"no workload or service matches {OPTION}={pattern}; {instead}")


def _service(one: Destination) -> str:
    return str(one).rpartition(":")[0]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _said(made: Plan, kept: Collection[Destination], patterns: Sequence[str]) -> str:
    return f"{OPTION}={','.join(patterns)} leaves {len(kept)} of {len(made.destinations)} ports"
